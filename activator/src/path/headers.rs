//! What is read, taken out of and put into heads on their way.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, COOKIE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{Method, Uri, Version};

use super::fault::Fault;
use super::trace::TRACEPARENT;
use super::{http2, target, trailers};
use crate::args::Limits;
use crate::wire::MAX_FIELDS;

/// Whether the request waited for a start.
pub const COLD_START: HeaderName = HeaderName::from_static("rouse-cold-start");
/// The phases of a start, as a browser's developer tools show them.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// Identifies a request in logs and problem documents.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// Fields that every request gets on its way.
pub const ADDED: usize = 6;
/// How headers begin that only Rouse sets.
const OWN: &str = "rouse-";
/// How headers begin in which proxies say who asked them and how; from a caller they are hearsay.
const HEARSAY: [&str; 2] = ["x-forwarded", "x-real-ip"];

/// `true` or `false`.
pub const fn flag(value: bool) -> HeaderValue {
    HeaderValue::from_static(if value { "true" } else { "false" })
}

/// Bytes of the head, as they count against limits: names, values and 32 for each field (RFC 9113, section 10.5.1).
pub fn size(parts: &Parts) -> usize {
    let fields: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    fields + parts.uri.path_and_query().map_or(0, |path| path.as_str().len())
}

/// Gives the head memory of its own. As it was read, it is made of slices of the connection's buffer, and keeps all of that
/// for as long as the request waits.
pub fn detach(parts: &mut Parts) {
    let mut own = HeaderMap::with_capacity(parts.headers.len());
    for (name, value) in &parts.headers {
        if let Some(copy) = copy(value) {
            own.append(name.clone(), copy);
        }
    }
    parts.headers = own;
    if let Ok(copy) = Uri::try_from(parts.uri.to_string()) {
        parts.uri = copy;
    }
}

/// A value with memory of its own. Bytes that made a value once do so again.
fn copy(value: &HeaderValue) -> Option<HeaderValue> {
    HeaderValue::from_bytes(value.as_bytes()).ok()
}

/// Checks the head against the limits and the rules that routing depends on, and returns the authority the request is for.
///
/// # Errors
/// The fault to answer with.
pub fn authority<'a>(parts: &'a Parts, limits: &Limits) -> Result<&'a str, Fault> {
    if parts.uri.path_and_query().map_or(0, |path| path.as_str().len()) > limits.max_uri_bytes.get() {
        return Err(Fault::UriTooLong(limits.max_uri_bytes.get()));
    }
    if size(parts) > usize::try_from(limits.max_head_bytes).unwrap_or(usize::MAX) + limits.max_uri_bytes.get() {
        return Err(Fault::HeadTooLong(limits.max_head_bytes));
    }
    // Two are ours: the request's id and its trace.
    if parts.headers.len() > MAX_FIELDS + 2 {
        return Err(Fault::TooManyFields(MAX_FIELDS));
    }
    if parts.version == Version::HTTP_2 {
        http2::head(parts)?;
    }
    target::path(parts.uri.path())?;
    let length = content_length(&parts.headers)?;
    if limits.max_body_bytes > 0 && length.is_some_and(|length| length > limits.max_body_bytes) {
        return Err(Fault::BodyTooLong(limits.max_body_bytes));
    }
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        if length.is_some() {
            return Err(Fault::Malformed("Transfer-Encoding and Content-Length together"));
        }
        if parts.version == Version::HTTP_10 {
            return Err(Fault::Malformed("Transfer-Encoding in HTTP/1.0"));
        }
    }
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Fault::Malformed("CONNECT and TRACE are not for a gateway"));
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    let host = hosts.next().map(|host| host.to_str().map_err(|_| Fault::Malformed("Host is not ASCII"))).transpose()?;
    if hosts.next().is_some() {
        return Err(Fault::Malformed("more than one Host"));
    }
    match (parts.uri.authority().map(http::uri::Authority::as_str), host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            Err(Fault::Malformed("the target and Host name different hosts"))
        }
        (Some(target), _) if target.contains('@') => Err(Fault::Malformed("the target holds user information")),
        (Some(authority), _) | (None, Some(authority)) => Ok(authority),
        (None, None) => Err(Fault::Malformed("no Host")),
    }
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Fault> {
    let mut length = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        let text = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
        let this = text.and_then(|text| text.parse().ok()).ok_or(Fault::Malformed("Content-Length is not a number"))?;
        if length.replace(this).is_some() {
            return Err(Fault::Malformed("more than one Content-Length"));
        }
    }
    Ok(length)
}

/// Whether the connection ends with this response.
pub fn closes(headers: &HeaderMap) -> bool {
    headers.get(CONNECTION).is_some_and(|option| option == "close")
}

/// Whether the call is gRPC's.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(http::header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web"))
}

/// The caller's own deadline, from `grpc-timeout` (gRPC over HTTP/2, "Requests": up to 8 digits and a unit).
pub fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

/// The protocol that the caller wants to go over to, if it is one that can be passed on; with memory of its own, for the
/// same reason as the id's.
pub fn upgrade(parts: &Parts) -> Option<HeaderValue> {
    let asked = parts.version == Version::HTTP_11 && lists(&parts.headers, &CONNECTION, "upgrade");
    let protocol = parts.headers.get(UPGRADE).filter(|_| asked)?;
    // HTTP/2 is spoken with prior knowledge only (RFC 9113, section 3.1).
    let h2c = protocol.to_str().is_ok_and(|text| text.split(',').any(|one| one.trim().eq_ignore_ascii_case("h2c")));
    copy(protocol).filter(|_| !h2c)
}

fn lists(headers: &HeaderMap, name: &HeaderName, option: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(option))
}

/// Whose head it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// A caller's. What it says of who asks is taken out too.
    Caller,
    /// A pod's.
    Pod,
}

/// What becomes of a field on the way through.
enum Way {
    On,
    Out,
    /// Of it `trailers` stays.
    Te,
    /// Of it stays what may be behind a body.
    Trailer,
    /// It goes, and those with it that it names.
    Connection,
}

fn way(name: &str, sender: Sender) -> Way {
    // Most names are told by their first byte.
    match name.as_bytes().first() {
        Some(b'c') if name == "connection" => Way::Connection,
        Some(b't') if name == "te" => Way::Te,
        Some(b't') if name == "trailer" => Way::Trailer,
        Some(b't') if name == "transfer-encoding" => Way::Out,
        Some(b'k') if name == "keep-alive" => Way::Out,
        Some(b'p') if matches!(name, "proxy-connection" | "proxy-authenticate" | "proxy-authorization") => Way::Out,
        Some(b'u') if name == "upgrade" => Way::Out,
        Some(b'h') if name == "http2-settings" => Way::Out,
        Some(b'r') if begins(name, OWN) => Way::Out,
        Some(b'x') if sender == Sender::Caller && HEARSAY.iter().any(|claim| begins(name, claim)) => Way::Out,
        _ => Way::On,
    }
}

/// Takes out what is between two neighbours only: the fields of RFC 9110, section 7.6.1, and those that `Connection`
/// names; and what only Rouse may say. `TE: trailers` stays, as gRPC asks for it, and of `Trailer` what may be passed on behind a
/// body.
pub fn strip(headers: &mut HeaderMap, sender: Sender) {
    let mut out = Vec::new();
    let mut te_trailers = false;
    let mut announced = None;
    for name in headers.keys() {
        match way(name.as_str(), sender) {
            Way::On => {}
            Way::Te if headers.get_all(TE).iter().all(|te| te == "trailers") => {}
            Way::Te => {
                te_trailers = lists(headers, &TE, "trailers");
                out.push(TE);
            }
            Way::Trailer => {
                announced = trailers::announced(headers).filter(|_| !lists(headers, &CONNECTION, "trailer"));
                out.push(TRAILER);
            }
            Way::Out => out.push(name.clone()),
            Way::Connection => {
                out.extend(nominated(headers));
                out.push(CONNECTION);
            }
        }
    }
    for name in out {
        headers.remove(name);
    }
    if let Some(announced) = announced {
        headers.insert(TRAILER, announced);
    }
    if te_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a field of this name goes on, whatever it says.
pub fn goes_on(name: &str, sender: Sender) -> bool {
    matches!(way(name, sender), Way::On)
}

/// The fields that `Connection` names, but for those that a caller must not be able to take away from the function, and for
/// `TE`, which HTTP/1 asks to be named (RFC 9110, section 10.1.4).
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    let values = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    values
        // What nearly everybody says, and no field.
        .filter(|value| !value.eq_ignore_ascii_case("keep-alive") && *value != "close")
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .filter(|name| ![HOST, COOKIE, CONTENT_LENGTH, FORWARDED, REQUEST_ID, TRACEPARENT, TE].contains(name))
}

/// Whether a name begins so. `_` counts as `-`: many an application gets its headers as variables, after CGI (RFC 3875,
/// section 4.1.18), and cannot tell the two apart.
pub fn begins(name: &str, start: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (a == b'_' && b == b'-');
    name.len() >= start.len() && name.bytes().zip(start.bytes()).all(same)
}

/// A caller's address as the fields name it, written once a connection.
#[derive(Debug)]
pub struct By {
    forwarded_for: HeaderValue,
    /// With what is before and behind it.
    forwarded: Box<[u8]>,
}

impl By {
    /// Of a connection from there.
    pub fn new(peer: IpAddr) -> Self {
        let peer = peer.to_canonical();
        let none = HeaderValue::from_static("unknown");
        // RFC 7239: an IPv6 address is quoted.
        let forwarded =
            if peer.is_ipv6() { format!("for=\"[{peer}]\";host=\"") } else { format!("for={peer};host=\"") };
        Self {
            forwarded_for: HeaderValue::try_from(peer.to_string()).unwrap_or(none),
            forwarded: forwarded.into_bytes().into(),
        }
    }

    /// `for=ADDRESS;host="HOST";proto=http` (RFC 7239: a host with a port is quoted).
    fn forwarded(&self, host: &HeaderValue) -> Option<HeaderValue> {
        let text = [&self.forwarded, host.as_bytes(), b"\";proto=http"].concat();
        HeaderValue::from_maybe_shared(Bytes::from(text)).ok()
    }
}

/// Says who asks and how, from the connection and not from what the caller claims, which [`strip`] has taken out. What is
/// not said here is not said at all: a function must be able to trust every field of this kind that it sees.
pub fn set_forwarded(headers: &mut HeaderMap, by: &By, host: &HeaderValue) {
    headers.insert(FORWARDED_FOR, by.forwarded_for.clone());
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static("http"));
    headers.insert(FORWARDED_HOST, host.clone());
    match by.forwarded(host) {
        Some(value) => headers.insert(FORWARDED, value),
        None => headers.remove(FORWARDED),
    };
}

/// The value of a field that came once. Of two nobody can say which is meant.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// The caller's request id if it is usable as one, else a new one; the request carries it from then on. What is returned
/// has memory of its own: it is kept for as long as the request is here, and see [`detach`].
pub fn ensure_request_id(headers: &mut HeaderMap) -> HeaderValue {
    let usable = |id: &&HeaderValue| (1..=128).contains(&id.len()) && id.to_str().is_ok();
    if let Some(id) = only(headers, &REQUEST_ID).filter(usable).and_then(copy) {
        return id;
    }
    let id = HeaderValue::from_bytes(&hex::<32>(rand::random())).unwrap_or(HeaderValue::from_static("none"));
    headers.insert(REQUEST_ID, id.clone());
    id
}

/// The lowest `N` hexadecimal digits of a number, an even count. By hand, as every request has two of these.
pub(super) fn hex<const N: usize>(number: u128) -> [u8; N] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut digits = [b'0'; N];
    for (pair, byte) in digits.chunks_exact_mut(2).rev().zip(number.to_le_bytes()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    digits
}

/// Turns the head into one for an HTTP/1.1 pod: origin form, `Host`, one `Cookie` line (RFC 9113, section 8.2.3).
pub fn for_http1(parts: &mut Parts, host: &HeaderValue) {
    parts.version = Version::HTTP_11;
    parts.headers.insert(HOST, host.clone());
    if let Some(path) = parts.uri.path_and_query()
        && parts.uri.authority().is_some()
    {
        parts.uri = Uri::from(path.clone());
    }
    let mut cookies = parts.headers.get_all(COOKIE).iter();
    if let (Some(first), Some(second)) = (cookies.next(), cookies.next()) {
        let mut joined = first.as_bytes().to_vec();
        for more in std::iter::once(second).chain(cookies) {
            joined.extend_from_slice(b"; ");
            joined.extend_from_slice(more.as_bytes());
        }
        if let Ok(joined) = HeaderValue::from_bytes(&joined) {
            parts.headers.insert(COOKIE, joined);
        }
    }
}

/// Says how the body of a request to an HTTP/1.1 pod ends, where its length does not. One of which nothing is said has none.
pub fn frame(headers: &mut HeaderMap, has_body: bool) {
    if has_body && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Turns the head into one for an HTTP/2 pod: `:authority` and no `Host`.
pub fn for_http2(parts: &mut Parts, host: &HeaderValue) {
    parts.version = Version::HTTP_2;
    parts.headers.remove(HOST);
    let path = parts.uri.path_and_query().cloned().unwrap_or(http::uri::PathAndQuery::from_static("/"));
    let uri = Uri::builder().scheme("http").authority(host.as_bytes()).path_and_query(path);
    if let Ok(uri) = uri.build() {
        parts.uri = uri;
    }
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
