//! What is read of a pod's bytes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::plain::{self, Ends};
use crate::spelling::{cut, spell};
use crate::wire::{Came, Content, Responses};

const WORDS: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.0 200 OK\r\n",
    b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 304 Not Modified\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n",
    b"HTTP/1.1 999 \r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 6\r\n",
    b"Content-Length: 5, 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n",
    b"A: b\r\n",
    b"hello",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b":",
    b"\xff",
];

/// Of a head, in bytes: small enough for inputs to reach it.
const MAX_HEAD: usize = 600;
/// Preliminary responses, as the scanner allows.
const MOST: usize = 16;

/// What is read of these pieces, behind which the pod closes the connection; `None` as long as no final head has come.
///
/// # Errors
/// The response is refused before its body.
fn through(pieces: &[&[u8]]) -> Result<Option<Final>, &'static str> {
    let mut responses = Responses::new(MAX_HEAD, false);
    let (mut came, mut begun) = (BytesMut::new(), None);
    for piece in pieces {
        came.extend_from_slice(piece);
        while begun.is_none() {
            match responses.next(&mut came)? {
                None => break,
                Some(Came::Informational(_)) => {}
                Some(Came::Switch(head) | Came::Final(head)) => begun = Some((head, Vec::new())),
            }
        }
        let Some((head, body)) = &mut begun else { continue };
        loop {
            match head.content.next(&mut came) {
                Ok(Some(frame)) => body.extend(frame.into_data().unwrap_or_default()),
                Ok(None) => break,
                Err(_) => return Ok(Some(Final { status: head.response.status().as_u16(), body: Body::Odd })),
            }
        }
    }
    Ok(begun.map(|(head, body)| {
        let whole = head.content.is_over() || head.content == Content::ToTheEnd;
        let body = if whole { Body::Whole(body) } else { Body::Part };
        Final { status: head.response.status().as_u16(), body }
    }))
}

/// The final response.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Final {
    status: u16,
    body: Body,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Body {
    Whole(Vec<u8>),
    /// Not at its end.
    Part,
    /// Chunks that are not in order, or that not everybody would take.
    Odd,
}

/// What is to be read; `None` for a response that has not begun.
fn read(bytes: &[u8]) -> Option<Final> {
    let mut rest = bytes;
    for _ in 0..=MOST {
        let (lines, behind) = plain::section(rest.strip_prefix(b"\r\n").unwrap_or(rest))?;
        let head = plain::head(&lines);
        let [version, status, ..] = head.first[..] else { panic!("a first line: {:?}", head.first) };
        assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0") && status.len() == 3, "{:?}", head.first);
        assert!(version == "HTTP/1.1" || head.ends != Ends::Chunks, "chunks of HTTP/1.0");
        let status: u16 = status.parse().expect("a status");
        if (100..200).contains(&status) && status != 101 {
            rest = behind;
            continue;
        }
        let whole = |body: Option<&[u8]>| body.map_or(Body::Part, |body| Body::Whole(body.to_vec()));
        let body = match head.ends {
            // What follows a 101 is of another protocol.
            _ if matches!(status, 101 | 204 | 304) => Body::Whole(Vec::new()),
            Ends::Unsaid => whole(Some(behind)),
            Ends::Length(length) => whole(behind.get(..length)),
            Ends::Chunks => match plain::chunks(behind) {
                Ok(Some((body, _))) => Body::Whole(body),
                Ok(None) => Body::Part,
                Err(_) => Body::Odd,
            },
        };
        return Some(Final { status, body });
    }
    panic!("more preliminary responses than are allowed")
}

/// A pod that says this once it is asked something, and closes.
struct Answers<'a> {
    bytes: &'a [u8],
    asked: bool,
}

impl AsyncRead for Answers<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.asked { Pin::new(&mut self.bytes).poll_read(cx, buf) } else { Poll::Pending }
    }
}

impl AsyncWrite for Answers<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, request: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        Poll::Ready(Ok(request.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Status and body as hyper has them; no body if it broke off.
fn read_by_hyper(bytes: &[u8]) -> Option<(u16, Option<Vec<u8>>)> {
    let io = TokioIo::new(Answers { bytes, asked: false });
    let handshake = http1::handshake::<_, Empty<Bytes>>(io).now_or_never().expect("no waiting");
    let (mut sender, connection) = handshake.expect("no I/O");
    let exchange = async {
        let response = sender.send_request(Request::get("/").body(Empty::new()).unwrap()).await.ok()?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.ok();
        Some((status, body.map(|body| body.to_bytes().to_vec())))
    };
    let mut both = Box::pin(futures::future::join(exchange, connection));
    (0..10_000).find_map(|_| both.as_mut().now_or_never()).expect("hyper waits for something").0
}

#[test]
fn responses() {
    bolero::check!().for_each(|input: &[u8]| {
        let bytes = spell(input, WORDS);
        // Of several reasons to refuse it the first one is given, and which that is depends on what has come by then.
        let whole = through(&[&bytes]).ok();
        assert_eq!(whole, through(&cut(&bytes, input)).ok(), "cuts make a difference");
        let Some(ours) = whole else { return };
        let plain = read(&bytes);
        assert_eq!(ours.as_ref().map(|ours| ours.status), plain.as_ref().map(|plain| plain.status));
        let (Some(ours), Some(plain)) = (ours, plain) else { return };
        if plain.body != Body::Odd {
            assert_eq!(ours.body, plain.body, "of a response with status {}", ours.status);
        }
        let Some((status, body)) = read_by_hyper(&bytes) else { return };
        assert_eq!(status, ours.status);
        // Of a body that is not whole hyper hands out the beginning, and no end.
        if let (Some(body), Body::Whole(_)) = (body, &ours.body) {
            assert_eq!(Body::Whole(body), ours.body, "of a response with status {status}");
        }
    });
}

/// What the rest of this file takes for granted.
#[test]
fn a_plain_response_is_read() {
    let bytes = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let whole = Some(Final { status: 200, body: Body::Whole(b"hi".to_vec()) });
    assert_eq!(through(&[bytes]), Ok(whole.clone()));
    assert_eq!(read(bytes), whole);
    assert_eq!(read_by_hyper(bytes), Some((200, Some(b"hi".to_vec()))));
    let short = &bytes[..bytes.len() - 1];
    assert_eq!(through(&[short]), Ok(Some(Final { status: 200, body: Body::Part })));
    assert_eq!(read_by_hyper(short), Some((200, None)));
}
