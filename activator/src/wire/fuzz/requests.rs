//! What goes on of a caller's bytes.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::ReadBuf;

use super::plain::{self, Ends, Message};
use crate::spelling::{cut, spell};
use crate::wire::Inlet;

const WORDS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"POST /a?b HTTP/1.1\r\nHost: a\r\n",
    b"GET / HTTP/1.0\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"content-length:\t05 \r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer_Encoding: chunked\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: close\r\n",
    b"Host: b\r\n",
    b"Expect: 100-continue\r\n",
    b"A: b\r\n",
    b"A: ",
    b"hello",
    b"5\r\nhello\r\n",
    b"5;a=b\r\n",
    b"0\r\n",
    b"0\r\n\r\n",
    b"0;a",
    b"ffffffff",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b";",
    b"\xff",
];

/// In bytes: small enough for inputs to reach them.
const MAX_FIELDS: usize = 600;
const MAX_TARGET: usize = 100;

/// What stands in place of a refused head. It has no Host, so no caller can have sent it.
const STANDS_IN: &[u8] = b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n";

/// What hyper gets to see when these pieces come, and whether the end was a refusal.
fn through(pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let mut inlet = Inlet::new(MAX_FIELDS, MAX_TARGET);
    let mut seen = Vec::new();
    for piece in pieces.iter().flat_map(|piece| piece.chunks(4096)) {
        if inlet.is_closed() || inlet.is_broken() {
            break;
        }
        let mut memory = [0; 4096];
        let mut buf = ReadBuf::new(&mut memory);
        buf.put_slice(piece);
        inlet.came(&mut buf, 0);
        seen.extend_from_slice(buf.filled());
        // A request to change the protocol is answered before anything behind it goes on: here at once, and by no.
        loop {
            let before = seen.len();
            inlet.decided(false);
            let mut memory = [0; 64];
            let mut buf = ReadBuf::new(&mut memory);
            while inlet.hand_over(&mut buf) {
                seen.extend_from_slice(buf.filled());
                buf.clear();
            }
            if seen.len() == before {
                break;
            }
        }
    }
    (seen, inlet.is_closed())
}

/// The whole messages in bytes that went on, and whether there is a part of one behind them.
fn read(bytes: &[u8]) -> (Vec<Message>, bool) {
    let mut messages = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let start = rest.strip_prefix(b"\r\n").unwrap_or(rest);
        let (lines, behind) = plain::section(start).expect("heads go on as a whole");
        let head = plain::head(&lines);
        let [method, target, version] = head.first[..] else { panic!("a first line: {:?}", head.first) };
        assert!(!method.bytes().any(|byte| byte.is_ascii_lowercase()), "{method}");
        assert!(!target.is_empty() && target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
        let old = version == "HTTP/1.0";
        assert!(old || version == "HTTP/1.1", "{version}");
        assert!(head.hosts == 1 || (old && head.hosts == 0), "{} hosts", head.hosts);
        assert!(!old || head.ends != Ends::Chunks, "chunks of HTTP/1.0");
        let body = match head.ends {
            Ends::Unsaid => Some((Vec::new(), behind)),
            Ends::Length(length) => behind.split_at_checked(length).map(|(body, behind)| (body.to_vec(), behind)),
            Ends::Chunks => plain::chunks(behind).expect("chunks in order"),
        };
        let Some((body, behind)) = body else { return (messages, true) };
        let first = format!("{method} {target}");
        messages.push(Message { first, body, may_be_last: old || head.closes });
        rest = behind;
    }
    (messages, false)
}

/// The whole messages that hyper reads.
fn read_by_hyper(bytes: &[u8]) -> Vec<Message> {
    let messages = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&messages);
    let service = service_fn(move |request: Request<Incoming>| {
        let log = Arc::clone(&log);
        async move {
            let first = format!("{} {}", request.method(), request.uri());
            // A body that breaks off ends the connection.
            let body = request.into_body().collect().await?.to_bytes().to_vec();
            log.lock().unwrap().push(Message { first, body, ..Message::default() });
            Ok::<_, hyper::Error>(Response::new(Full::<Bytes>::default()))
        }
    });
    let io = TokioIo::new(tokio::io::join(bytes, tokio::io::sink()));
    let mut builder = http1::Builder::new();
    let mut connection = Box::pin(builder.half_close(true).header_read_timeout(None).serve_connection(io, service));
    // It yields now and then, and never waits: all there is to read is there.
    let ended = (0..10_000).find_map(|_| connection.as_mut().now_or_never());
    assert!(ended.is_some(), "hyper waits for something");
    drop(connection);
    std::mem::take(&mut *messages.lock().unwrap())
}

/// The same of all that hyper gets to see.
fn meant((seen, refused): &(Vec<u8>, bool)) -> Vec<Message> {
    if !refused {
        return read(seen).0;
    }
    let (mut messages, part) = read(seen.strip_suffix(STANDS_IN).expect("what stands in place of the refused head"));
    assert!(!part, "the rest of a body would be what stands in place of a head");
    messages.push(Message { first: "GET /".into(), ..Message::default() });
    messages
}

fn is_like(one: &Message, other: &Message) -> bool {
    // A whole URL is printed with its path.
    let same = one.first == other.first || format!("{}/", one.first) == other.first || one.first.contains("://");
    same && one.body == other.body
}

#[test]
fn requests() {
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = spell(input, WORDS);
        let (whole, in_pieces) = (through(&[&bytes]), through(&cut(&bytes, input)));
        let (messages, same) = (meant(&whole), meant(&in_pieces));
        assert_eq!((&messages, whole.1), (&same, in_pieces.1), "cuts make a difference");
        for (seen, _) in [whole, in_pieces] {
            let by_hyper = read_by_hyper(&seen);
            for (one, other) in messages.iter().zip(&by_hyper) {
                assert!(is_like(one, other), "{one:?}, but for hyper {other:?}");
            }
            let fewer = messages.get(by_hyper.len()).is_some();
            let ended = by_hyper.len().checked_sub(1).is_some_and(|last| messages[last].may_be_last);
            assert!(by_hyper.len() <= messages.len() && (!fewer || ended), "{messages:?}, but for hyper {by_hyper:?}");
        }
    });
}

/// What the rest of this file takes for granted.
#[test]
fn a_plain_request_is_read() {
    let bytes = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    let expected = [Message { first: "POST /a".into(), body: b"hi".to_vec(), ..Message::default() }];
    assert_eq!(through(&[bytes]), (bytes.to_vec(), false));
    assert_eq!((read(bytes), read_by_hyper(bytes)), ((expected.to_vec(), false), expected.to_vec()));
}
