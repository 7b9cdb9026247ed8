//! Fields behind a body. Pure.

use http::HeaderMap;

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
    let misplaced = |name: &str| MISPLACED.iter().any(|own| own.len() == name.len() && headers::begins(name, own));
    let unwanted = |name: &str| misplaced(name) || !headers::goes_on(name, Sender::Caller);
    let names: Vec<_> = fields.keys().filter(|name| unwanted(name.as_str())).cloned().collect();
    for name in names {
        fields.remove(name);
    }
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
}
