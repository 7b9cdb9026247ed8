//! The body of a response, taken out of the bytes that it comes in. Pure.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;

use super::chunks::{Chunks, Next};
use super::head::MAX_FIELDS;

/// How a body goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// So many bytes are to come.
    Length(u64),
    /// Chunks.
    Chunked(Chunked),
    /// All that comes before the connection's end.
    ToTheEnd,
}

/// A body in chunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    chunks: Chunks,
    /// As they came, once the last chunk has.
    trailers: Option<Vec<u8>>,
    over: bool,
}

impl Content {
    /// From the first chunk on.
    pub fn chunked() -> Self {
        Self::Chunked(Chunked { chunks: Chunks::padded(), ..Chunked::default() })
    }

    /// Whether nothing more belongs to it.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.over,
            Self::ToTheEnd => false,
        }
    }

    /// Bytes that are still to be taken, where that is known.
    pub fn left(&self) -> Option<u64> {
        match self {
            Self::Length(left) => Some(*left),
            Self::Chunked(chunked) => chunked.over.then_some(0),
            Self::ToTheEnd => None,
        }
    }

    /// Takes the next piece, or the trailers, out of what has come. `None`: nothing of it belongs to the body, or more has to
    /// come first.
    ///
    /// # Errors
    /// How the chunks are broken.
    pub fn next(&mut self, came: &mut BytesMut) -> Result<Option<Frame<Bytes>>, &'static str> {
        let piece = match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(came.len());
                *left -= here as u64;
                came.split_to(here)
            }
            Self::Chunked(chunked) => return chunked.next(came),
            Self::ToTheEnd => came.split(),
        };
        Ok((!piece.is_empty()).then(|| Frame::data(piece.freeze())))
    }
}

impl Chunked {
    fn next(&mut self, came: &mut BytesMut) -> Result<Option<Frame<Bytes>>, &'static str> {
        while !came.is_empty() && !self.over {
            let next = self.chunks.next(came).map_err(|broken| broken.0)?;
            match next {
                Next::Content { skip, length } => {
                    let piece = came.split_to(skip + length).split_off(skip);
                    return Ok(Some(Frame::data(piece.freeze())));
                }
                Next::Last(end) => {
                    drop(came.split_to(end));
                    self.trailers = Some(Vec::new());
                }
                Next::End(end) => {
                    let mut lines = self.trailers.take().unwrap_or_default();
                    lines.extend_from_slice(&came.split_to(end));
                    let fields = trailers(&lines)?;
                    self.over = true;
                    return Ok((!fields.is_empty()).then(|| Frame::trailers(fields)));
                }
                Next::More => match &mut self.trailers {
                    Some(trailers) => trailers.extend_from_slice(&came.split()),
                    None => came.clear(),
                },
            }
        }
        Ok(None)
    }
}

/// Reads trailer fields, up to the empty line behind them.
fn trailers(lines: &[u8]) -> Result<HeaderMap, &'static str> {
    let mut fields = HeaderMap::new();
    if lines == b"\r\n" {
        return Ok(fields);
    }
    let mut read = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let Ok(httparse::Status::Complete((_, read))) = httparse::parse_headers(lines, &mut read) else {
        return Err("a trailer field is not valid");
    };
    for field in read {
        let (name, value) = (HeaderName::from_bytes(field.name.as_bytes()), HeaderValue::from_bytes(field.value));
        let (Ok(name), Ok(value)) = (name, value) else { return Err("a trailer field is not valid") };
        fields.append(name, value);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces joined, trailers, whether it is over, and what is left, of bytes that come in these cuts.
    fn read(mut content: Content, bytes: &[u8], cut: usize) -> Result<(String, HeaderMap, bool, usize), &'static str> {
        let (mut data, mut trailers, mut came) = (Vec::new(), HeaderMap::new(), BytesMut::new());
        for piece in bytes.chunks(cut) {
            came.extend_from_slice(piece);
            while let Some(frame) = content.next(&mut came)? {
                match frame.into_data() {
                    Ok(piece) => data.extend_from_slice(&piece),
                    Err(frame) => trailers = frame.into_trailers().unwrap(),
                }
            }
        }
        Ok((String::from_utf8(data).unwrap(), trailers, content.is_over(), came.len()))
    }

    #[test]
    fn bodies_come_out_however_they_are_cut() {
        let cases: [(Content, &str, &str, bool, usize); 8] = [
            (Content::Length(5), "hello", "hello", true, 0),
            (Content::Length(5), "hello, you", "hello", true, 5),
            (Content::Length(5), "hell", "hell", false, 0),
            (Content::ToTheEnd, "hello", "hello", false, 0),
            (Content::chunked(), "2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n", "hello", true, 0),
            (Content::chunked(), "5 \t\r\nhello\r\n0  \r\n\r\nHTTP", "hello", true, 4),
            (Content::chunked(), "5\r\nhello\r\n0\r\n", "hello", false, 0),
            (Content::chunked(), "0\r\nA: b\r\nc:d\r\n\r\n", "", true, 0),
        ];
        for (content, bytes, data, over, left) in cases {
            for cut in 1..=bytes.len() {
                let read = read(content.clone(), bytes.as_bytes(), cut).unwrap();
                // What comes behind the end is not looked at.
                assert_eq!((&*read.0, read.2, read.3), (data, over, left), "{bytes:?} in cuts of {cut}");
                assert_eq!(read.1.len(), if bytes.contains("A: b") { 2 } else { 0 }, "{bytes:?}");
            }
        }
    }

    #[test]
    fn chunks_that_are_broken_break_off() {
        for bytes in ["5\r\nhellooo", "x\r\n", "5 x\r\nhello", "0\r\n a\r\n\r\n"] {
            assert!(read(Content::chunked(), bytes.as_bytes(), bytes.len()).is_err(), "{bytes:?}");
        }
        let many = format!("0\r\n{}\r\n", "a:\r\n".repeat(MAX_FIELDS + 1));
        let mut broken = Content::chunked();
        assert!(broken.next(&mut BytesMut::from(&*many)).is_err() && !broken.is_over());
    }
}
