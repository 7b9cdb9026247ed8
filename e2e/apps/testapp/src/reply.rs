//! Bodies and small answers.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::{HeaderValue, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::sleep;

/// An error breaks the connection off, in HTTP/2 the stream.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What a route gives.
pub(crate) type Reply = Response<Body>;

const CHUNK: usize = 64 * 1024;

/// Text with status 200.
pub(crate) fn text(content: impl Into<Bytes>) -> Reply {
    typed("text/plain; charset=utf-8", whole(content))
}

/// A JSON value with status 200.
pub(crate) fn json(value: &serde_json::Value) -> Reply {
    typed("application/json", whole(format!("{value}\n")))
}

/// Text with a status of its own.
pub(crate) fn with_status(status: StatusCode, content: impl Into<Bytes>) -> Reply {
    let mut reply = text(content);
    *reply.status_mut() = status;
    reply
}

/// A body of a content type.
pub(crate) fn typed(content_type: &'static str, body: Body) -> Reply {
    let mut reply = Response::new(body);
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// A body that is there at once.
pub(crate) fn whole(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body of frames.
pub(crate) fn frames(stream: impl futures::Stream<Item = io::Result<Frame<Bytes>>> + Send + 'static) -> Body {
    StreamBody::new(stream).boxed_unsync()
}

/// `total` bytes in chunks, as fast as the reader takes them. The length is announced.
pub(crate) fn zeros(total: u64) -> Reply {
    sized(total, total, Ok(()))
}

/// Half of the announced `total`, then an error.
pub(crate) fn broken(total: u64) -> Reply {
    sized(total, total / 2, Err(io::Error::other("breaking off, as told")))
}

/// Server-sent events: `count` of them, `period` apart.
pub(crate) fn events(count: u64, period: Duration) -> Reply {
    let events = stream::iter(0..count).then(move |n| async move {
        if n > 0 {
            sleep(period).await;
        }
        Ok(Frame::data(Bytes::from(format!("id: {n}\ndata: event {n}\n\n"))))
    });
    typed("text/event-stream", frames(events))
}

fn sized(announced: u64, sent: u64, end: io::Result<()>) -> Reply {
    let zeros = Bytes::from_static(&[0; CHUNK]);
    let chunks = (0..sent).step_by(CHUNK).map(move |start| {
        let length = usize::try_from(sent - start).map_or(CHUNK, |left| left.min(CHUNK));
        Ok(Frame::data(zeros.slice(..length)))
    });
    let end = stream::iter(end.err()).then(|error| async {
        // An error at once would overtake the bytes before it, and the head with them.
        sleep(Duration::from_millis(50)).await;
        Err(error)
    });
    let body = frames(stream::iter(chunks).chain(end));
    let mut reply = typed("application/octet-stream", body);
    reply.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(announced));
    reply
}
