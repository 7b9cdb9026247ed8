//! A request's head once more, for the next pod if this one fails.

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};

/// Room for the fields of most heads, in bytes.
const MOST: usize = 512;

/// A head as it is before it is made ready for a pod: the same goes to the next one. The fields are written into one piece of
/// memory, as nearly every one of these is thrown away unread: a copy of their map costs twice that.
#[derive(Debug)]
pub(super) struct Spare {
    method: Method,
    uri: Uri,
    version: Version,
    /// `NAME:VALUE` and a line's end each. No name holds a colon, and no value a line's end.
    fields: Vec<u8>,
}

impl Spare {
    pub(super) fn of(parts: &Parts) -> Self {
        let mut fields = Vec::with_capacity(MOST);
        for (name, value) in &parts.headers {
            fields.extend_from_slice(name.as_str().as_bytes());
            fields.push(b':');
            fields.extend_from_slice(value.as_bytes());
            fields.push(b'\n');
        }
        Self { method: parts.method.clone(), uri: parts.uri.clone(), version: parts.version, fields }
    }

    /// Fields of one name in their order.
    pub(super) fn into_parts(self) -> Parts {
        let (mut parts, ()) = Request::new(()).into_parts();
        (parts.method, parts.uri, parts.version) = (self.method, self.uri, self.version);
        parts.headers = HeaderMap::new();
        for field in self.fields.split(|byte| *byte == b'\n') {
            let Some(colon) = memchr::memchr(b':', field) else { continue };
            // What was a name and a value once is so again.
            let read = (HeaderName::from_bytes(&field[..colon]), HeaderValue::from_bytes(&field[colon + 1..]));
            if let (Ok(name), Ok(value)) = read {
                parts.headers.append(name, value);
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_head_is_the_same_head() {
        let request = Request::put("http://hello.shop/a?b")
            .version(Version::HTTP_2)
            .header("a", "1")
            .header("cookie", "x=1")
            .header("a", "2:3")
            .header("empty", "")
            .header("other", &b":\t\xff "[..])
            .header("cookie", "y=2");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let again = Spare::of(&parts).into_parts();
        assert_eq!((&again.method, &again.uri, again.version), (&parts.method, &parts.uri, parts.version));
        let fields =
            |parts: &Parts| parts.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>();
        assert_eq!(fields(&again), fields(&parts));
    }
}
