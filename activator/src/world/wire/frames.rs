//! HTTP/2 as bytes, right or wrong: frames (RFC 9113, section 4) around header blocks of literals (RFC 7541, section
//! 6.2.2), which need no state.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(super) use crate::world::frames::frame;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
/// How a client begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Of a SETTINGS frame.
const ACK: u8 = 1;
/// Of DATA and HEADERS.
pub(super) const END_STREAM: u8 = 1;
/// Of HEADERS and CONTINUATION.
const END_HEADERS: u8 = 4;
/// What every receiver takes.
const MAX_FRAME: usize = 16_384;
/// Nothing in these tests takes longer.
const SOON: Duration = Duration::from_secs(30);

pub(super) type Field<'a> = (&'a [u8], &'a [u8]);

/// How either side begins: its settings, and its assent to what the other's will be.
pub(super) fn greeting() -> Vec<u8> {
    [frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat()
}

/// A header block, as one HEADERS frame and as many CONTINUATIONs as it takes.
pub(super) fn headers(stream: u32, flags: u8, fields: &[Field<'_>]) -> Vec<u8> {
    let block = block(fields);
    let mut parts: Vec<&[u8]> = block.chunks(MAX_FRAME).collect();
    let last = parts.pop().unwrap_or_default();
    let Some((first, middle)) = parts.split_first() else {
        return frame(HEADERS, flags | END_HEADERS, stream, last);
    };
    let mut bytes = frame(HEADERS, flags, stream, first);
    bytes.extend(middle.iter().flat_map(|part| frame(CONTINUATION, 0, stream, part)));
    bytes.extend(frame(CONTINUATION, END_HEADERS, stream, last));
    bytes
}

fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is not indexed, with a new name; neither of the two in Huffman's code.
        block.push(0);
        for text in [name, value] {
            length(text.len(), &mut block);
            block.extend_from_slice(text);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541, section 5.1).
fn length(mut value: usize, block: &mut Vec<u8>) {
    if value < 127 {
        return block.push(value.to_le_bytes()[0]);
    }
    block.push(127);
    value -= 127;
    while value >= 128 {
        block.push(value.to_le_bytes()[0] | 128);
        value >>= 7;
    }
    block.push(value.to_le_bytes()[0]);
}

/// What became of one stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: Option<u16>,
    /// The response is whole.
    pub(super) ended: bool,
    /// The stream was reset, with this code.
    pub(super) reset: Option<u32>,
    /// The connection was given up, with this code.
    pub(super) goaway: Option<u32>,
    /// The connection has ended.
    pub(super) closed: bool,
}

/// A caller who writes what it likes.
pub(super) struct Caller(TcpStream);

impl Caller {
    pub(super) async fn connect(address: std::net::SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[PREFACE, &greeting()].concat()).await.unwrap();
        Self(stream)
    }

    /// A connection that was closed because of the first part takes no second.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
    }

    /// Reads until the stream has ended, or the connection.
    pub(super) async fn outcome(&mut self, stream: u32) -> Outcome {
        let mut seen = Outcome::default();
        while !seen.ended && seen.reset.is_none() && !seen.closed {
            let Some((kind, flags, of, payload)) = self.next().await else {
                seen.closed = true;
                break;
            };
            let code = |at: usize| payload.get(at..at + 4).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
            match kind {
                GOAWAY => seen.goaway = code(4),
                RST_STREAM if of == stream => seen.reset = code(0),
                HEADERS if of == stream => seen.status = seen.status.or_else(|| status(&payload)),
                _ => {}
            }
            seen.ended |= of == stream && matches!(kind, HEADERS | DATA) && flags & END_STREAM != 0;
        }
        seen
    }

    /// `None` at the connection's end.
    async fn next(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let read = async {
            let mut head = [0; 9];
            self.0.read_exact(&mut head).await?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
            self.0.read_exact(&mut payload).await?;
            std::io::Result::Ok((kind, flags, u32::from_be_bytes(stream), payload))
        };
        timeout(SOON, read).await.expect("nothing comes").ok()
    }
}

/// The status that a response's header block begins with: an entry of the static table, or three digits behind the name of
/// one (RFC 7541, appendix A), as they are or in Huffman's code (appendix B).
fn status(block: &[u8]) -> Option<u16> {
    const INDEXED: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    if let [first @ 0x88..=0x8e, ..] = block {
        return INDEXED.get(usize::from(first - 0x88)).copied();
    }
    // With the name of entry 8: to be indexed, or not.
    let [0x48 | 0x08, length, text @ ..] = block else { return None };
    let text = text.get(..usize::from(length & 127))?;
    if length & 128 == 0 {
        return std::str::from_utf8(text).ok()?.parse().ok();
    }
    let bits: Vec<u8> = text.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut status) = (0, 0);
    for _ in 0..3 {
        let code = |bits: &[u8]| bits.iter().fold(0, |code, bit| code << 1 | u16::from(*bit));
        let short = code(bits.get(at..at + 5)?);
        let digit = if short < 3 { short } else { code(bits.get(at..at + 6)?) - 0b1_1001 + 3 };
        at += if short < 3 { 5 } else { 6 };
        status = status * 10 + digit;
    }
    Some(status)
}

#[test]
fn the_writer_and_the_reader_agree_with_the_standard() {
    // RFC 7541, appendix C.2.2 and C.1.2: a literal is not indexed, and 1337 with a prefix (there of five bits).
    assert_eq!(block(&[(b"ab", b"c")]), b"\0\x02ab\x01c");
    let mut long = Vec::new();
    length(1337, &mut long);
    assert_eq!(long, [127, 0b1011_1010, 9]);
    assert_eq!(status(&[0x88]), Some(200));
    assert_eq!(status(b"\x48\x03421"), Some(421));
    // Appendix C.6.1: `302` is 0x6402.
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), Some(302));
    assert_eq!(
        headers(1, END_STREAM, &[(b"a", &[b'x'; MAX_FRAME])]).windows(5).filter(|w| w[0] == CONTINUATION).count(),
        1
    );
}
