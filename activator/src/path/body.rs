//! The bodies on their way: a request's to the pod, a response's to the caller. Neither is buffered.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Instant;

use super::count::Counted;
use super::trailers;
use crate::pods::Taken;
use crate::pool::Lease;
use crate::server::{Deadline, Reading};

/// Why a body ended early. The other side sees a stream that is reset or a connection that is closed, never a short body
/// that looks whole (design decision 9).
#[derive(Debug, Error)]
pub enum BodyError {
    /// The sender's end.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
    /// More bytes than the limit.
    #[error("the body is longer than {0} bytes")]
    TooLong(u64),
    /// It came too slowly.
    #[error("the body came too slowly")]
    TooSlow,
    /// The sender has given it up; or the response has ended, and the rest of the request is of no use.
    #[error("the exchange was broken off")]
    BrokenOff,
}

/// A request's body.
pub struct RequestBody {
    source: Source,
    http2: bool,
    limit: Option<Arc<BodyLimit>>,
    seen: u64,
    /// The body is not asked for before this is done: the caller waits for the pod's `100 Continue`.
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    reading: Option<Reading>,
}

/// The most bytes that a body may have.
#[derive(Debug)]
pub struct BodyLimit {
    bytes: u64,
    exceeded: AtomicBool,
}

impl BodyLimit {
    /// `None` for 0, which is no limit.
    pub fn new(bytes: u64) -> Option<Arc<Self>> {
        (bytes > 0).then(|| Arc::new(Self { bytes, exceeded: AtomicBool::new(false) }))
    }

    /// The limit, if the body went over it: what reaches the sender of the request is only that the exchange broke.
    pub fn exceeded(&self) -> Option<u64> {
        self.exceeded.load(Ordering::Acquire).then_some(self.bytes)
    }
}

enum Source {
    Empty,
    Own(Incoming),
    Shared(Arc<Mutex<Shared>>),
}

#[derive(Default)]
struct Shared {
    incoming: Option<Incoming>,
    begun: bool,
    broken_off: bool,
    reader: Option<Waker>,
}

/// A hold on a body that is on its way: it can be had back as long as nothing of it has been read, and broken off after
/// that.
pub struct TakeBack {
    shared: Arc<Mutex<Shared>>,
    http2: bool,
    limit: Option<Arc<BodyLimit>>,
}

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self { source: Source::Empty, http2: false, limit: None, seen: 0, gate: None, reading: None }
    }

    /// The caller's body, which comes over HTTP/2 or not.
    pub fn new(incoming: Incoming, http2: bool, limit: Option<Arc<BodyLimit>>) -> Self {
        let source = if incoming.is_end_stream() { Source::Empty } else { Source::Own(incoming) };
        Self { source, http2, limit, seen: 0, gate: None, reading: None }
    }

    /// Does not ask for the body before `gate` is done.
    pub fn after(&mut self, gate: impl Future<Output = ()> + Send + 'static) {
        self.gate = Some(Box::pin(gate));
    }

    /// Has its time kept; see [`Reading`].
    pub fn timed(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    /// The caller's body, if nothing of it has been read.
    pub fn into_incoming(self) -> Option<Incoming> {
        match self.source {
            Source::Empty => None,
            Source::Own(incoming) => Some(incoming),
            Source::Shared(shared) => {
                let mut shared = lock(&shared);
                if shared.begun { None } else { shared.incoming.take() }
            }
        }
    }

    /// A way to have the body back after it was handed to a connection that turned the request away.
    pub fn share(&mut self) -> Option<TakeBack> {
        let shared = match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Empty => Arc::default(),
            Source::Own(incoming) => Arc::new(Mutex::new(Shared { incoming: Some(incoming), ..Shared::default() })),
            Source::Shared(shared) => shared,
        };
        let empty = lock(&shared).incoming.is_none();
        if !empty {
            self.source = Source::Shared(Arc::clone(&shared));
        }
        Some(TakeBack { shared, http2: self.http2, limit: self.limit.clone() })
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TakeBack {
    /// The body, if nothing of it has been read.
    pub fn take_back(&self) -> Option<RequestBody> {
        let shared = lock(&self.shared);
        if shared.begun {
            return None;
        }
        let empty = shared.incoming.is_none();
        // It stays shared: a hold on it is one on whoever sends it next, too.
        let source = if empty { Source::Empty } else { Source::Shared(Arc::clone(&self.shared)) };
        let limit = self.limit.clone();
        Some(RequestBody { source, http2: self.http2, limit, seen: 0, gate: None, reading: None })
    }

    /// Ends the body with an error for whoever reads it, and lets go of the caller's end of it. Nobody notices where it had
    /// ended.
    pub fn break_off(&self) {
        let mut shared = lock(&self.shared);
        shared.broken_off = true;
        let (incoming, reader) = (shared.incoming.take(), shared.reader.take());
        drop(shared);
        drop(incoming);
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

impl std::fmt::Debug for TakeBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TakeBack").finish_non_exhaustive()
    }
}

/// The next frame of a body that ends where its sender says so. hyper takes a stream of HTTP/2 that is reset with `NO_ERROR`
/// or `CANCEL` for one that has ended, and that is how a caller gives up its upload.
fn poll_whole(
    incoming: &mut Incoming,
    http2: bool,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let frame = ready!(Pin::new(&mut *incoming).poll_frame(cx));
    if frame.is_none() && http2 && !incoming.is_end_stream() {
        return Poll::Ready(Some(Err(BodyError::BrokenOff)));
    }
    Poll::Ready(frame.map(|frame| Ok(frame?)))
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if let Some(gate) = &mut this.gate {
            ready!(gate.as_mut().poll(cx));
            this.gate = None;
        }
        let polled = match &mut this.source {
            Source::Empty => return Poll::Ready(None),
            Source::Own(incoming) => poll_whole(incoming, this.http2, cx),
            Source::Shared(shared) => {
                let mut shared = lock(shared);
                if shared.broken_off {
                    return Poll::Ready(Some(Err(BodyError::BrokenOff)));
                }
                let Some(incoming) = &mut shared.incoming else { return Poll::Ready(None) };
                let polled = poll_whole(incoming, this.http2, cx);
                shared.begun |= polled.is_ready();
                shared.reader = polled.is_pending().then(|| cx.waker().clone());
                polled
            }
        };
        let Poll::Ready(polled) = polled else {
            let late = this.reading.as_mut().is_some_and(|reading| reading.waits(this.seen, cx));
            return if late { Poll::Ready(Some(Err(BodyError::TooSlow))) } else { Poll::Pending };
        };
        let Some(mut frame) = polled.transpose()? else {
            this.reading = None;
            return Poll::Ready(None);
        };
        if let Some(fields) = frame.trailers_mut() {
            trailers::clean(fields);
        }
        this.seen += frame.data_ref().map_or(0, |data| data.len() as u64);
        if let Some(reading) = &mut this.reading {
            reading.came(this.seen);
        }
        if let Some(limit) = this.limit.as_deref().filter(|limit| this.seen > limit.bytes) {
            limit.exceeded.store(true, Ordering::Release);
            return Poll::Ready(Some(Err(BodyError::TooLong(limit.bytes))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Own(incoming) => incoming.is_end_stream(),
            Source::Shared(shared) => {
                let shared = lock(shared);
                !shared.broken_off && shared.incoming.as_ref().is_none_or(Body::is_end_stream)
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Own(incoming) => incoming.size_hint(),
            Source::Shared(shared) => lock(shared).incoming.as_ref().map_or_else(SizeHint::default, Body::size_hint),
        }
    }
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody").field("seen", &self.seen).finish_non_exhaustive()
    }
}

/// What a response holds on to until its body ends.
#[derive(Debug)]
pub struct Held {
    /// The slot at the pod.
    pub taken: Taken,
    /// The HTTP/1 connection, which can be used again after the body's end.
    pub lease: Option<Lease>,
    /// The request's body at an HTTP/2 pod, where it ends with the response, whole or not. An HTTP/1 connection goes with
    /// its lease.
    pub upload: Option<TakeBack>,
    /// Counts the request as present.
    pub counted: Counted,
    /// `requestSeconds`: past it, whatever serves the exchange is dropped, and this body with it.
    pub deadline: Option<Deadline>,
}

/// A response's body.
#[derive(Debug)]
pub struct ResponseBody(Content);

#[derive(Debug)]
enum Content {
    Ours(Bytes, Option<Deadline>),
    Pod(Incoming, Option<Held>),
}

impl ResponseBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(Content::Ours(Bytes::new(), None))
    }

    /// A text of ours.
    pub fn full(text: impl Into<Bytes>) -> Self {
        Self(Content::Ours(text.into(), None))
    }

    /// A text of ours that the caller begins to take until `at`; past it, whatever serves the exchange is dropped. A pod's
    /// body has its own deadline.
    pub fn until(mut self, at: Instant) -> Self {
        if let Content::Ours(_, deadline) = &mut self.0 {
            *deadline = Deadline::set(at);
        }
        self
    }

    /// A pod's body, with what it holds on to.
    pub fn pod(incoming: Incoming, held: Held) -> Self {
        Self(Content::Pod(incoming, Some(held)))
    }

    /// Lets go of everything: the body was read to its end, or it never will be.
    fn end(&mut self, whole: bool) {
        let Content::Pod(_, held) = &mut self.0 else { return };
        let Some(held) = held.take() else { return };
        // Before the slot is given back. A pod may answer whole and leave the rest of the request unread without saying
        // so: a caller that is silent then would keep its connection and the stream for as long as it likes.
        if let Some(upload) = held.upload {
            upload.break_off();
        }
        if let Some(lease) = held.lease
            && whole
        {
            lease.finish();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let mut frame = match &mut this.0 {
            Content::Ours(text, _) => {
                let text = std::mem::take(text);
                return Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))));
            }
            // HTTP/1 has a lease.
            Content::Pod(incoming, held) => {
                let http2 = held.as_ref().is_some_and(|held| held.lease.is_none());
                ready!(poll_whole(incoming, http2, cx))
            }
        };
        match &mut frame {
            None => this.end(true),
            Some(Err(_)) => this.end(false),
            Some(Ok(frame)) => {
                if let Some(fields) = frame.trailers_mut() {
                    trailers::clean(fields);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Ours(text, _) => text.is_empty(),
            Content::Pod(incoming, _) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Ours(text, _) => SizeHint::with_exact(text.len() as u64),
            Content::Pod(incoming, _) => incoming.size_hint(),
        }
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // A body that is known to be empty, or whose last frame was its end, is never polled again.
        let whole = self.is_end_stream();
        self.end(whole);
    }
}
