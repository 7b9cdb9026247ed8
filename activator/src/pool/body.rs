//! The body of a response, over either protocol.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::Broken;
use super::http1::{self, Switched};
use super::streams::Stream;

/// What comes behind a response's head.
#[derive(Debug)]
pub enum PodBody {
    /// Over HTTP/1.
    Http1(http1::Body),
    /// Over HTTP/2, on this stream.
    Http2(Incoming, Stream),
    /// Another protocol.
    Switched(Switched),
}

impl PodBody {
    /// Whoever takes it is slow: it is to read no more ahead than it must. Over HTTP/2 its stream's window sees to that.
    pub fn slow_down(&mut self) {
        if let Self::Http1(body) = self {
            body.slow_down();
        }
    }
}

impl Body for PodBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body, _) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                // hyper takes a stream that is reset with `NO_ERROR` or `CANCEL` for one that has ended.
                if frame.is_none() && !body.is_end_stream() {
                    return Poll::Ready(Some(Err(Broken::Ended)));
                }
                Poll::Ready(frame.map(|frame| Ok(frame?)))
            }
            Self::Switched(_) => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body, _) => body.is_end_stream(),
            Self::Switched(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body, _) => body.size_hint(),
            Self::Switched(_) => SizeHint::with_exact(0),
        }
    }
}
