//! What a head says of the body behind it, where every reader would say the same. Pure.
//!
//! httparse, which hyper reads heads with, settles the grammar: tokens, values, no folded line, no space before a colon.
//! What it lets pass and readers differ on is settled here (RFC 9112, sections 3.2, 5 and 6).

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use httparse::{Header, Status};

use crate::path::target;

/// Most fields of a head. hyper's own limit, so that there is one answer to more.
pub const MAX_FIELDS: usize = 100;

/// Why a head goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is not valid, or not everybody would read it alike.
    Malformed(&'static str),
    /// It has more than [`MAX_FIELDS`] fields.
    TooManyFields,
}

use Refused::Malformed;

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
}

/// A request's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) framing: Framing,
    /// It asks to go over to another protocol: what follows is not known before the answer.
    pub(super) upgrade: bool,
}

/// A response's head.
#[derive(Debug)]
pub(super) struct Response {
    /// Status and fields.
    pub(super) head: http::Response<()>,
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    /// Its sender does not close the connection behind it.
    pub(super) stays_open: bool,
}

/// Reads a request's head, which is complete and whose lines end with CRLF.
pub(super) fn request(head: &[u8]) -> Result<Request, Refused> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    complete(request.parse_with_uninit_headers(head, &mut fields))?;
    let method = request.method.unwrap_or_default();
    if !target::is_method(method) {
        return Err(Malformed("a method is written in capital letters"));
    }
    form(method, request.path.unwrap_or_default())?;
    let seen = Fields::read(request.headers)?;
    // HTTP/1.0 knows no chunks (RFC 9112, section 6.1), and names its host only as a favour.
    let old = request.version == Some(0);
    if seen.hosts == 0 && !old {
        return Err(Malformed("no Host"));
    }
    if seen.chunked && old {
        return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
    }
    let framing = if seen.chunked { Framing::Chunked } else { Framing::Length(seen.length.unwrap_or(0)) };
    Ok(Request { framing, upgrade: seen.upgrade && seen.connection_upgrade && !old })
}

/// Reads a response's head, which is complete and whose lines end with CRLF. The values share its memory.
pub(super) fn response(head: &Bytes) -> Result<Response, Refused> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut read = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut read, head, &mut fields);
    complete(parsed)?;
    let seen = Fields::read(read.headers)?;
    let old = read.version == Some(0);
    if seen.chunked && old {
        return Err(Malformed("Transfer-Encoding in HTTP/1.0"));
    }
    let mut response = http::Response::new(());
    *response.status_mut() =
        StatusCode::from_u16(read.code.unwrap_or_default()).map_err(|_| Malformed("the first line is not valid"))?;
    // A few are put in on the way.
    let mut headers = HeaderMap::with_capacity(read.headers.len() + 4);
    for field in read.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| Malformed("the name of a header field is not valid"))?;
        let value = HeaderValue::from_maybe_shared(head.slice_ref(field.value))
            .map_err(|_| Malformed("the value of a header field is not valid"))?;
        headers.append(name, value);
    }
    *response.headers_mut() = headers;
    Ok(Response { head: response, length: seen.length, chunked: seen.chunked, stays_open: !old && !seen.close })
}

fn complete(parsed: httparse::Result<usize>) -> Result<(), Refused> {
    match parsed {
        Ok(Status::Complete(_)) => Ok(()),
        Ok(Status::Partial) => Err(Malformed("the head is not complete")),
        Err(httparse::Error::TooManyHeaders) => Err(Refused::TooManyFields),
        Err(httparse::Error::Version) => Err(Malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
        Err(httparse::Error::HeaderName) => Err(Malformed("the name of a header field is not valid")),
        Err(httparse::Error::HeaderValue) => Err(Malformed("the value of a header field is not valid")),
        Err(httparse::Error::NewLine | httparse::Error::Token | httparse::Error::Status) => {
            Err(Malformed("the first line is not valid"))
        }
    }
}

/// The forms of RFC 9112, section 3.2, but that of CONNECT. A fragment is no part of any.
fn form(method: &str, target: &str) -> Result<(), Refused> {
    if matches!(method, "CONNECT" | "TRACE") {
        return Err(Malformed("CONNECT and TRACE are not for a gateway"));
    }
    if !target.is_ascii() || target.contains('#') {
        return Err(Malformed("the target holds a byte that belongs in no target"));
    }
    let scheme = |name: &str| target.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let absolute = || scheme("http://") || scheme("https://");
    if target.starts_with('/') || (target == "*" && method == "OPTIONS") || absolute() {
        Ok(())
    } else {
        Err(Malformed("the target is neither a path nor a whole URL"))
    }
}

/// What the fields say of the message's end.
#[derive(Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    connection_upgrade: bool,
    close: bool,
}

impl Fields {
    fn read(fields: &[Header<'_>]) -> Result<Self, Refused> {
        let mut seen = Self::default();
        for field in fields {
            // By length first: most fields are none of these.
            match field.name.len() {
                4 if is(field, "host") => seen.host(field)?,
                7 if is(field, "upgrade") => seen.upgrade = true,
                10 if is(field, "connection") => {
                    seen.connection_upgrade |= lists(field.value, b"upgrade");
                    seen.close |= lists(field.value, b"close");
                }
                14 if is(field, "content-length") => seen.length(field)?,
                17 if is(field, "transfer-encoding") => seen.encoding(field)?,
                // To an application that gets its fields as variables they are the same (RFC 3875, section 4.1.18).
                14 if is(field, "content_length") => return Err(Malformed("Content_Length")),
                17 if is(field, "transfer_encoding") => return Err(Malformed("Transfer_Encoding")),
                _ => {}
            }
        }
        if seen.chunked && seen.length.is_some() {
            return Err(Malformed("Transfer-Encoding and Content-Length together"));
        }
        Ok(seen)
    }

    fn host(&mut self, field: &Header<'_>) -> Result<(), Refused> {
        self.hosts += 1;
        if self.hosts > 1 {
            return Err(Malformed("more than one Host"));
        }
        if field.value.is_empty() {
            return Err(Malformed("Host is empty"));
        }
        Ok(())
    }

    fn length(&mut self, field: &Header<'_>) -> Result<(), Refused> {
        if self.length.is_some() {
            return Err(Malformed("more than one Content-Length"));
        }
        if !field.value.iter().all(u8::is_ascii_digit) {
            return Err(Malformed("Content-Length is not a number"));
        }
        let number = std::str::from_utf8(field.value).ok().and_then(|text| text.parse().ok());
        // hyper's own limit is two less.
        self.length = number.filter(|number| *number < u64::MAX - 2);
        if self.length.is_some() { Ok(()) } else { Err(Malformed("Content-Length is not a number")) }
    }

    fn encoding(&mut self, field: &Header<'_>) -> Result<(), Refused> {
        if self.chunked {
            return Err(Malformed("more than one Transfer-Encoding"));
        }
        self.chunked = field.value.eq_ignore_ascii_case(b"chunked");
        if self.chunked { Ok(()) } else { Err(Malformed("Transfer-Encoding is not `chunked`")) }
    }
}

fn is(field: &Header<'_>, name: &str) -> bool {
    field.name.eq_ignore_ascii_case(name)
}

fn lists(value: &[u8], option: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(option))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(first: &str, fields: &[&str]) -> Result<Request, Refused> {
        request(format!("{first}\r\n{}\r\n", fields.iter().map(|f| format!("{f}\r\n")).collect::<String>()).as_bytes())
    }

    #[test]
    fn framing() {
        let cases: [(&[&str], Framing); 6] = [
            (&["Host: a"], Framing::Length(0)),
            (&["Host: a", "Content-Length: 5"], Framing::Length(5)),
            (&["Host: a", "content-length:\t007 "], Framing::Length(7)),
            (&["Host: a", "Transfer-Encoding: chunked"], Framing::Chunked),
            (&["Host: a", "transfer-ENCODING: Chunked"], Framing::Chunked),
            (&["Host: a", "Content-Length: 18446744073709551612"], Framing::Length(u64::MAX - 3)),
        ];
        for (fields, framing) in cases {
            assert_eq!(read("POST / HTTP/1.1", fields), Ok(Request { framing, upgrade: false }), "{fields:?}");
        }
    }

    #[test]
    fn an_upgrade_is_asked_for_by_two_fields() {
        let asks = |fields: &[&str]| read("GET / HTTP/1.1", fields).unwrap().upgrade;
        assert!(asks(&["Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket"]));
        assert!(!asks(&["Host: a", "Upgrade: websocket"]));
        assert!(!asks(&["Host: a", "Connection: upgrade"]));
        assert!(!read("GET / HTTP/1.0", &["Connection: upgrade", "Upgrade: websocket"]).unwrap().upgrade);
    }

    #[test]
    fn responses() {
        let read = |head: &str| {
            response(&Bytes::copy_from_slice(head.as_bytes())).map(|response| response.head.status().as_u16())
        };
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\n"), Ok(200));
        assert_eq!(read("HTTP/1.1 204\r\n\r\n"), Ok(204));
        for head in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "\0\0\r\n\r\n",
        ] {
            assert!(matches!(read(head), Err(Malformed(_))), "{head:?}");
        }
        let many: String = (0..=MAX_FIELDS).map(|i| format!("a{i}: b\r\n")).collect();
        assert_eq!(read(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")), Err(Refused::TooManyFields));
    }
}
