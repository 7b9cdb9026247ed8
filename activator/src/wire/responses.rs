//! A pod's side of an HTTP/1 exchange: the heads of its response. Pure.

use bytes::BytesMut;
use http::StatusCode;

use super::content::Content;
use super::head::{self, Refused, Response};
use super::lines::{Broken, Lines};

/// Responses of the 1xx kind before the final one. A pod that sends more is not in order.
const MAX_INFORMATIONAL: u32 = 16;

/// A head that came.
#[derive(Debug)]
pub enum Came {
    /// The final one is still to come.
    Informational(StatusCode),
    /// Another protocol begins behind it.
    Switch(Head),
    /// The final one.
    Final(Head),
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    /// Status and fields; nothing in its body.
    pub response: http::Response<()>,
    /// How the body goes on.
    pub content: Content,
    /// Whether the connection can take another request behind it.
    pub stays_open: bool,
}

/// The response to one request.
#[derive(Debug)]
pub struct Responses {
    lines: Lines,
    max_head: usize,
    informational: u32,
    to_head: bool,
}

impl Responses {
    /// Nothing has come. `max_head`: the longest head, in bytes. `to_head`: the request's method was HEAD, so that no body
    /// follows whatever is said.
    pub fn new(max_head: usize, to_head: bool) -> Self {
        Self { lines: Lines::default(), max_head, informational: 0, to_head }
    }

    /// Takes the next head out of what has come, which begins where it begins; `None` if it is not complete.
    ///
    /// # Errors
    /// Why the response is of no use to anybody.
    pub fn next(&mut self, came: &mut BytesMut) -> Result<Option<Came>, &'static str> {
        let end = match self.lines.end(came) {
            Ok(Some(end)) if end <= self.max_head => end,
            Ok(None) if came.len() <= self.max_head => return Ok(None),
            Ok(_) => return Err("its response's head is too long"),
            Err(Broken::BareLf) => return Err("a line of its response ends with LF alone"),
            Err(Broken::EmptyLines) => return Err("there are empty lines before its response"),
        };
        self.lines = Lines::default();
        let read = head::response(&came.split_to(end).freeze()).map_err(|refused| match refused {
            Refused::Malformed(why) => why,
            Refused::TooManyFields => "its response has too many header fields",
        })?;
        let status = read.head.status();
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err("it sends one preliminary response after the other");
            }
            return Ok(Some(Came::Informational(status)));
        }
        let head = self.finish(read);
        Ok(Some(if status == StatusCode::SWITCHING_PROTOCOLS { Came::Switch(head) } else { Came::Final(head) }))
    }

    /// RFC 9112, section 6.3.
    fn finish(&self, read: Response) -> Head {
        let bodiless = self.to_head
            || matches!(
                read.head.status(),
                StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        let content = match read.length {
            _ if bodiless => Content::Length(0),
            _ if read.chunked => Content::chunked(),
            Some(length) => Content::Length(length),
            None => Content::ToTheEnd,
        };
        // One that says it has what it must not have may send it all the same.
        let odd = read.head.status() == StatusCode::NO_CONTENT
            && (read.chunked || read.length.is_some_and(|length| length > 0));
        let stays_open = read.stays_open && !odd && content != Content::ToTheEnd;
        Head { response: read.head, content, stays_open }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of these bytes, heads only.
    fn all(responses: &mut Responses, came: &mut BytesMut) -> Result<Vec<(bool, u16)>, &'static str> {
        let mut heads = Vec::new();
        while let Some(next) = responses.next(came)? {
            heads.push(match next {
                Came::Informational(status) => (false, status.as_u16()),
                Came::Switch(head) | Came::Final(head) => {
                    heads.push((true, head.response.status().as_u16()));
                    break;
                }
            });
        }
        Ok(heads)
    }

    #[test]
    fn heads_wait_until_they_are_whole() {
        let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nHi";
        let mut responses = Responses::new(1000, false);
        let mut came = BytesMut::from(&bytes[..10]);
        assert_eq!(all(&mut responses, &mut came), Ok(vec![]));
        came.extend_from_slice(&bytes[10..40]);
        assert_eq!(all(&mut responses, &mut came), Ok(vec![(false, 100)]));
        came.extend_from_slice(&bytes[40..]);
        assert_eq!(all(&mut responses, &mut came), Ok(vec![(true, 200)]));
        assert_eq!(came, "Hi");
    }

    #[test]
    fn floods_end() {
        let mut flood = BytesMut::from(&*b"HTTP/1.1 102 Processing\r\n\r\n".repeat(17));
        assert!(all(&mut Responses::new(1000, false), &mut flood).is_err());
        let mut long = BytesMut::from("HTTP/1.1 200 OK");
        assert!(all(&mut Responses::new(10, false), &mut long).is_err());
    }

    #[test]
    fn what_follows_and_whether_anything_can_follow_that() {
        let head = |to_head: bool, text: &str| {
            let mut came = BytesMut::from(text);
            match Responses::new(1000, to_head).next(&mut came) {
                Ok(Some(Came::Final(head))) => (head.content, head.stays_open),
                other => panic!("{text}: {other:?}"),
            }
        };
        let cases = [
            (false, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Content::Length(7), true),
            (true, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", Content::Length(0), true),
            (false, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", Content::Length(0), true),
            (false, "HTTP/1.1 204 No Content\r\n\r\n", Content::Length(0), true),
            (false, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Content::Length(0), true),
            (false, "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n", Content::Length(0), false),
            (false, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", Content::Length(0), false),
            (false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Content::chunked(), true),
            (false, "HTTP/1.1 200 OK\r\n\r\n", Content::ToTheEnd, false),
            (false, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: x, Close\r\n\r\n", Content::Length(7), false),
            (false, "HTTP/1.0 200 OK\r\nContent-Length: 7\r\n\r\n", Content::Length(7), false),
            (true, "HTTP/1.1 200 OK\r\n\r\n", Content::Length(0), true),
        ];
        for (to_head, text, content, stays_open) in cases {
            assert_eq!(head(to_head, text), (content, stays_open), "{text}");
        }
    }
}
