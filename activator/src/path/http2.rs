//! What the HTTP/2 library lets by of what `wire` refuses in HTTP/1, or of what is malformed. Pure.
//!
//! It has seen to the rest: names and values are made of the right bytes, pseudo-headers come first and once, there is no
//! field that is between neighbours only, and a body is as long as it said (RFC 9113, section 8).

use http::header::CONTENT_LENGTH;
use http::request::Parts;
use http::{HeaderMap, Method};

use super::fault::Fault;
use super::target;
use crate::wire::MAX_FIELDS;

/// Checks the head of a request. Hosts, paths and sizes are checked where HTTP/1's are.
///
/// # Errors
/// [`Fault::Malformed`].
pub fn head(parts: &Parts) -> Result<(), Fault> {
    let wrong = |why| Err(Fault::Malformed(why));
    if !target::is_method(parts.method.as_str()) {
        return wrong("a method is written in capital letters");
    }
    // It is not known where there is no `:authority`; it goes no further in any case.
    let named = |scheme: &str| ["http", "https"].iter().any(|one| scheme.eq_ignore_ascii_case(one));
    if !parts.uri.scheme_str().is_none_or(named) {
        return wrong("the scheme is neither http nor https");
    }
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    if !target.is_ascii() {
        return wrong("the target holds a byte that belongs in no target");
    }
    // A missing path is an empty one, and an empty target reads `/`.
    let is_path = target.starts_with('/') && !parts.uri.path().is_empty();
    if !is_path && (target != "*" || parts.method != Method::OPTIONS) {
        return wrong("the target is not a path");
    }
    for (name, value) in &parts.headers {
        if let Some(why) = twin(name.as_str()) {
            return wrong(why);
        }
        // RFC 9113, section 8.2.1. In HTTP/1 it would be no part of the value.
        if let [first, .., last] | [first @ last] = value.as_bytes()
            && [first, last].iter().any(|byte| b" \t".contains(byte))
        {
            return wrong("a value begins or ends with a space");
        }
    }
    Ok(())
}

/// Whether a response's head from a pod says one thing, and that to everybody: what goes on over HTTP/1 is as it is here.
pub fn is_response(fields: &HeaderMap) -> bool {
    let mut lengths = fields.get_all(CONTENT_LENGTH).iter();
    // Other text than digits the library has seen to.
    let length = lengths.next().is_none_or(|length| !length.is_empty()) && lengths.next().is_none();
    length && fields.len() <= MAX_FIELDS && fields.keys().all(|name| twin(name.as_str()).is_none())
}

/// To an application that gets its fields as variables these are the fields that frame a message (RFC 3875, section
/// 4.1.18).
fn twin(name: &str) -> Option<&'static str> {
    match name {
        "content_length" => Some("Content_Length"),
        "transfer_encoding" => Some("Transfer_Encoding"),
        _ => None,
    }
}
