//! A reader that knows one way to read a message, and panics at what could be read in another.

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Method and target, or the status.
    pub(super) first: String,
    pub(super) body: Vec<u8>,
    /// The reader of a request, or its sender, may close the connection behind it.
    pub(super) may_be_last: bool,
}

/// What its fields say of a message's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    Length(usize),
    Chunks,
    /// They say nothing.
    Unsaid,
}

/// A head without its last empty line: first line and what the fields say.
#[derive(Clone, Debug)]
pub(super) struct Head<'a> {
    pub(super) first: Vec<&'a str>,
    pub(super) ends: Ends,
    pub(super) hosts: usize,
    pub(super) closes: bool,
}

/// The lines of a section that ends with an empty one, and what is behind it.
pub(super) fn section(bytes: &[u8]) -> Option<(Vec<&[u8]>, &[u8])> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    loop {
        let (line, behind) = line(rest)?;
        rest = behind;
        if line.is_empty() {
            return Some((lines, rest));
        }
        lines.push(line);
    }
}

/// A line and what is behind it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    Some((&bytes[..end], &bytes[end + 2..]))
}

/// Whether a line holds no control byte but tabs.
fn is_text(line: &[u8]) -> bool {
    !line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
}

/// Name and value of a field; nothing if it is none.
fn field(line: &[u8]) -> Option<(String, &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':').filter(|_| is_text(line))?;
    let name = &line[..colon];
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_name = !name.is_empty() && name.iter().all(token);
    is_name.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), line[colon + 1..].trim_ascii()))
}

pub(super) fn head<'a>(lines: &[&'a [u8]]) -> Head<'a> {
    let first = std::str::from_utf8(lines[0]).expect("a first line that is no text").split(' ').collect();
    let mut head = Head { first, ends: Ends::Unsaid, hosts: 0, closes: false };
    assert!(is_text(lines[0]), "{}", lines[0].escape_ascii());
    for line in &lines[1..] {
        let (name, value) = field(line).unwrap_or_else(|| panic!("no field: {}", line.escape_ascii()));
        match name.replace('_', "-").as_str() {
            "host" => head.hosts += usize::from(name == "host"),
            "connection" => head.closes |= value.to_ascii_lowercase().windows(5).any(|five| five == b"close"),
            "content-length" | "transfer-encoding" => {
                assert!(!name.contains('_'), "{name}");
                assert_eq!(head.ends, Ends::Unsaid, "two fields say how the body ends");
                head.ends = if name == "content-length" {
                    assert!(!value.is_empty() && value.iter().all(u8::is_ascii_digit), "{}", value.escape_ascii());
                    Ends::Length(std::str::from_utf8(value).expect("digits").parse().expect("a length"))
                } else {
                    assert!(value.eq_ignore_ascii_case(b"chunked"), "{}", value.escape_ascii());
                    Ends::Chunks
                };
            }
            _ => {}
        }
    }
    head
}

/// The content of chunks, and what is behind them.
type Unchunked<'a> = (Vec<u8>, &'a [u8]);

/// Goes through chunks; `None` if they do not end.
///
/// # Errors
/// How they are broken.
pub(super) fn chunks(mut rest: &[u8]) -> Result<Option<Unchunked<'_>>, &'static str> {
    let mut content = Vec::new();
    while let Some((first, behind)) = line(rest) {
        let digits = first.split(|byte| *byte == b';').next().unwrap_or_default();
        if !digits.iter().all(u8::is_ascii_hexdigit) || !is_text(first) {
            return Err("a size");
        }
        let size = std::str::from_utf8(digits).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let size = size.ok_or("a size")?;
        if size == 0 {
            let Some((trailers, behind)) = section(behind) else { return Ok(None) };
            let fields = trailers.into_iter().all(|line| field(line).is_some());
            return if fields { Ok(Some((content, behind))) } else { Err("a trailer") };
        }
        let Some((data, behind)) = behind.split_at_checked(size) else { return Ok(None) };
        content.extend_from_slice(data);
        match behind.get(..2) {
            None => return Ok(None),
            Some(b"\r\n") => rest = &behind[2..],
            Some(_) => return Err("the end of a chunk"),
        }
    }
    Ok(None)
}
