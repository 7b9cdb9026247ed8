//! gRPC without generated code: an echo needs to know where a message ends, not what is in it. Any
//! message type will do, as long as the answer has the same.
//!
//! `Unary` answers the request's message; `Stream` answers it `x-count` times (3), `x-interval-ms`
//! apart (0); `Chat` answers each message as it comes; `Fail` answers `grpc-status: 13`.
//! Source: [gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::sleep;

use crate::reply::{Body, Reply, frames, typed, whole};

const OK: &str = "0";
const UNIMPLEMENTED: &str = "12";
const INTERNAL: &str = "13";

/// Answers one call.
pub(crate) async fn answer(method: &str, request: Request<Incoming>) -> Reply {
    let count = header(&request, "x-count", 3);
    let interval = Duration::from_millis(header(&request, "x-interval-ms", 0));
    match method {
        "Unary" => match message(request).await {
            Some(message) => reply(repeated(message, 1, Duration::ZERO)),
            None => failed(INTERNAL, "the message did not arrive"),
        },
        "Stream" => match message(request).await {
            Some(message) => reply(repeated(message, count, interval)),
            None => failed(INTERNAL, "the message did not arrive"),
        },
        "Chat" => reply(through(request.into_body())),
        "Fail" => failed(INTERNAL, "failing, as told"),
        _ => failed(UNIMPLEMENTED, "no such method"),
    }
}

/// The one message of a call, with its five bytes of frame before it.
async fn message(request: Request<Incoming>) -> Option<Bytes> {
    let body = request.into_body().collect().await.ok()?.to_bytes();
    let length = u32::from_be_bytes(body.get(1..5)?.try_into().ok()?);
    (body.len() == 5 + usize::try_from(length).ok()?).then_some(body)
}

fn repeated(message: Bytes, count: u64, interval: Duration) -> Body {
    let messages = stream::iter(0..count).then(move |n| {
        let message = message.clone();
        async move {
            if n > 0 {
                sleep(interval).await;
            }
            Ok(Frame::data(message))
        }
    });
    frames(messages.chain(stream::iter([Ok(Frame::trailers(status(OK, "")))])))
}

fn through(body: Incoming) -> Body {
    let data = body.into_data_stream().map(|data| data.map(Frame::data).map_err(io::Error::other));
    frames(data.chain(stream::iter([Ok(Frame::trailers(status(OK, "")))])))
}

fn reply(body: Body) -> Reply {
    typed("application/grpc", body)
}

/// "Trailers-Only": the status is in the head, and there is no body.
fn failed(code: &'static str, message: &'static str) -> Reply {
    let mut reply = reply(whole(Bytes::new()));
    reply.headers_mut().extend(status(code, message));
    reply
}

fn status(code: &'static str, message: &'static str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("grpc-status", HeaderValue::from_static(code));
    if !message.is_empty() {
        fields.insert("grpc-message", HeaderValue::from_static(message));
    }
    fields
}

fn header(request: &Request<Incoming>, name: &str, otherwise: u64) -> u64 {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}
