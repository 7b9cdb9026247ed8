//! HTTP/2 frames, written by hand.

/// How a client begins: its preface, and settings that change nothing.
pub(in crate::soak) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One frame. A payload has at most 16 MiB.
pub(in crate::soak) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = payload.len().to_be_bytes()[5..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field without compression (RFC 7541, section 6.2.2), of a name and a value shorter than 127 bytes.
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    let of = |text: &str| {
        let mut bytes = vec![u8::try_from(text.len()).unwrap_or(126).min(126)];
        bytes.extend(&text.as_bytes()[..text.len().min(126)]);
        bytes
    };
    [vec![0], of(name), of(value)].concat()
}

/// The fields of a request.
pub(super) fn fields(method: &str, host: &str, path: &str) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)];
    pseudo.map(|(name, value)| field(name, value)).concat()
}

/// The head of a request. `flags`: 1 = no body, 4 = no more fields.
pub(super) fn request(stream: u32, flags: u8, host: &str, path: &str) -> Vec<u8> {
    frame(1, flags, stream, &fields("GET", host, path))
}

/// The stream of the request with this number.
pub(super) fn stream(number: u32) -> u32 {
    2 * number + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_its_length_before_it() {
        assert_eq!(frame(6, 1, 3, b"abc"), b"\0\0\x03\x06\x01\0\0\0\x03abc");
        assert_eq!(frame(0, 0, 1, &[0; 65536])[..3], [1, 0, 0]);
        assert_eq!(field("a", "bc"), b"\0\x01a\x02bc");
    }
}
