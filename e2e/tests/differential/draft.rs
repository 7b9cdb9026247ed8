//! A request before it is written down: its parts can be turned odd one by one.

/// One field, with all that is written around it.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: Vec<u8>,
    pub(crate) colon: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

/// One chunk of a body.
#[derive(Clone, Debug)]
pub(crate) struct Chunk {
    pub(crate) size: Vec<u8>,
    pub(crate) size_end: Vec<u8>,
    pub(crate) data: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

/// What follows the head.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    None,
    /// As long as a field says.
    Plain(Vec<u8>),
    /// And the last chunk with what is behind it.
    Chunked(Vec<Chunk>, Vec<u8>),
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// Before the first line.
    pub(crate) lead: Vec<u8>,
    /// Method, target, version and what stands between and behind them.
    pub(crate) line: [Vec<u8>; 6],
    pub(crate) fields: Vec<Field>,
    /// The empty line.
    pub(crate) end: Vec<u8>,
    pub(crate) body: Body,
}

pub(crate) const METHOD: usize = 0;
pub(crate) const TARGET: usize = 2;
pub(crate) const VERSION: usize = 4;
/// What ends the first line.
pub(crate) const LINE_END: usize = 5;

impl Field {
    pub(crate) fn new(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            colon: b": ".to_vec(),
            value: value.as_ref().to_vec(),
            end: b"\r\n".to_vec(),
        }
    }
}

impl Chunk {
    pub(crate) fn new(data: &[u8]) -> Self {
        let size = format!("{:x}", data.len()).into_bytes();
        Self { size, size_end: b"\r\n".to_vec(), data: data.to_vec(), end: b"\r\n".to_vec() }
    }
}

impl Draft {
    /// Without a body.
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self {
            lead: Vec::new(),
            line: [method, " ", target, " ", "HTTP/1.1", "\r\n"].map(|part| part.as_bytes().to_vec()),
            fields: vec![Field::new("Host", "hello.shop")],
            end: b"\r\n".to_vec(),
            body: Body::None,
        }
    }

    /// Where the field of this name is; if there is none, one with this value is put there.
    pub(crate) fn field(&mut self, name: &str, value: &str) -> &mut Field {
        let found = self.fields.iter().position(|field| field.name.eq_ignore_ascii_case(name.as_bytes()));
        let at = found.unwrap_or_else(|| {
            self.fields.push(Field::new(name, value));
            self.fields.len() - 1
        });
        &mut self.fields[at]
    }

    /// The bytes of the head and of the body.
    pub(crate) fn written(&self) -> (Vec<u8>, Vec<u8>) {
        let fields = self.fields.iter().flat_map(|field| [&field.name, &field.colon, &field.value, &field.end]);
        let parts: Vec<&Vec<u8>> =
            std::iter::once(&self.lead).chain(&self.line).chain(fields).chain([&self.end]).collect();
        let head = parts.into_iter().flatten().copied().collect();
        let body = match &self.body {
            Body::None => Vec::new(),
            Body::Plain(bytes) => bytes.clone(),
            Body::Chunked(chunks, last) => {
                let chunks = chunks.iter().flat_map(|chunk| [&chunk.size, &chunk.size_end, &chunk.data, &chunk.end]);
                chunks.chain([last]).flatten().copied().collect()
            }
        };
        (head, body)
    }
}
