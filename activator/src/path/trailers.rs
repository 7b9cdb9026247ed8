//! Fields behind a body. Pure.

use http::header::TRAILER;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{self, Sender};

/// What is read before the body, or bears on how it is read: it has no place behind it (RFC 9110, section 6.5.1).
const MISPLACED: [&str; 17] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "max-forwards",
    "range",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Takes out what has no place in trailers, and what is taken out of heads: many a library adds the one to the other.
pub fn clean(fields: &mut HeaderMap) {
    let names: Vec<_> = fields.keys().filter(|name| !belongs(name)).cloned().collect();
    for name in names {
        fields.remove(name);
    }
}

/// `Trailer` without what [`clean`] takes out; nothing if nothing is left. Go refuses a head that announces a length.
pub fn announced(headers: &HeaderMap) -> Option<HeaderValue> {
    let values = headers.get_all(TRAILER).iter().filter_map(|value| value.to_str().ok());
    let named = values.flat_map(|value| value.split(',')).map(str::trim);
    let left: Vec<&str> =
        named.filter(|name| HeaderName::from_bytes(name.as_bytes()).is_ok_and(|name| belongs(&name))).collect();
    HeaderValue::try_from(left.join(", ")).ok().filter(|_| !left.is_empty())
}

fn belongs(name: &HeaderName) -> bool {
    let name = name.as_str();
    let misplaced = MISPLACED.iter().any(|own| own.len() == name.len() && headers::begins(name, own));
    !misplaced && headers::goes_on(name, Sender::Caller)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_place_there_is_taken_out() {
        let names = ["x-sum", "grpc-status", "hosts", "host", "content_length", "rouse-any", "x_forwarded_for", "te"];
        let mut fields: HeaderMap = names.iter().map(|name| (name.parse().unwrap(), "1".parse().unwrap())).collect();
        clean(&mut fields);
        let left: Vec<_> = fields.keys().map(http::HeaderName::as_str).collect();
        assert_eq!(left, ["x-sum", "grpc-status", "hosts"]);
    }
    #[test]
    fn what_has_no_place_there_is_not_announced() {
        let announced = |values: &[&str]| {
            let values = values.iter().map(|value| (TRAILER, HeaderValue::from_str(value).unwrap()));
            super::announced(&values.collect()).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(announced(&["X-Sum"]).as_deref(), Some("X-Sum"));
        assert_eq!(
            announced(&["X-Sum, Content-Length,", "grpc-status , rouse-any"]).as_deref(),
            Some("X-Sum, grpc-status")
        );
        assert_eq!(announced(&["Content-Length", "a b", "Transfer_Encoding"]), None);
        assert_eq!(announced(&[]), None);
    }
}
