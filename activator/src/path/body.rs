//! The bodies on their way: a request's to the pod, a response's to the caller. Neither is buffered.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use thiserror::Error;
use tokio::time::Instant;

use super::count::Counted;
use super::replay::{Kept, LONGEST};
use super::room::Room;
use super::trail::{Received, Trail};
use super::trailers;
use super::untaken::{Piece, Stream};
use crate::function::Function;
use crate::pods::{Pod, Taken};
use crate::pool::{Broken, PodBody};
use crate::server::{Deadline, Reading};

/// Why a body ended early. The other side sees a stream that is reset or a connection that is closed, never a short body
/// that looks whole (design decision 9).
#[derive(Debug, Error)]
pub enum BodyError {
    /// The caller's end.
    #[error(transparent)]
    Caller(#[from] hyper::Error),
    /// The pod's end.
    #[error(transparent)]
    Pod(#[from] Broken),
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
    /// Where its bytes are counted, if somebody asks for them.
    received: Option<Received>,
    /// The body is not asked for before this is done: the caller waits for the pod's `100 Continue`.
    gate: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
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
    Shared(Arc<Mutex<Shared>>, Turn),
}

/// One reader of a shared body, from its beginning: the last one is the only one that gets anything.
#[derive(Default)]
struct Turn {
    number: u32,
    /// What an earlier reader had of it already.
    data: Bytes,
    trailers: Option<HeaderMap>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    incoming: Option<Incoming>,
    /// Bytes of the whole, where that is known.
    length: Option<u64>,
    begun: bool,
    ended: bool,
    broken_off: bool,
    /// Its caller did not send all of it.
    broken: bool,
    reader: Option<Waker>,
    /// Of the reader.
    turn: u32,
    /// What was read so far, if it is kept.
    kept: Option<Kept>,
}

/// A hold on a body that is on its way: it can be had back as long as nothing of it has been read or all that was read is
/// kept, and broken off after that.
pub struct TakeBack {
    shared: Arc<Mutex<Shared>>,
    http2: bool,
    limit: Option<Arc<BodyLimit>>,
    received: Option<Received>,
}

impl RequestBody {
    /// No body.
    pub const fn empty() -> Self {
        Self { source: Source::Empty, http2: false, limit: None, seen: 0, received: None, gate: None, reading: None }
    }

    /// The caller's body, which comes over HTTP/2 or not.
    pub fn new(incoming: Incoming, http2: bool) -> Self {
        let source = if incoming.is_end_stream() { Source::Empty } else { Source::Own(incoming) };
        Self { source, http2, limit: None, seen: 0, received: None, gate: None, reading: None }
    }

    /// With a limit of its length.
    pub fn limited(self, limit: Option<Arc<BodyLimit>>) -> Self {
        Self { limit, ..self }
    }

    /// Does not ask for the body before `gate` is done, or [`RequestBody::go_on`] is called.
    pub fn after(&mut self, gate: impl Future<Output = ()> + Send + Sync + 'static) {
        self.gate = Some(Box::pin(gate));
    }

    /// The pod asks for the body.
    pub fn go_on(&mut self) {
        self.gate = None;
    }

    /// Whether the body is not to be asked for yet.
    pub fn is_kept_back(&self) -> bool {
        self.gate.is_some()
    }

    /// Has its time kept; see [`Reading`].
    pub fn timed(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    /// Counts its bytes there too: those that go to a pod, as often as they do.
    pub fn counted_by(mut self, received: Option<Received>) -> Self {
        self.received = received;
        self
    }

    /// Whether there is more to be said of it than its bytes: over HTTP/2 a body ends, or breaks, behind as many as it is to
    /// have.
    pub fn goes_on(&self) -> bool {
        self.http2 && !self.is_end_stream()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self.source, Source::Empty)
    }

    /// The same for another reader, with no gate, no limit and no time kept. `None` if some of it has been read and is not
    /// kept.
    pub fn again(mut self) -> Option<Self> {
        match &self.source {
            Source::Empty => Some(Self::empty()),
            Source::Own(_) => (self.seen == 0).then_some(Self { limit: None, gate: None, reading: None, ..self }),
            Source::Shared(..) => self.share().and_then(|shared| shared.take_back()).map(|body| body.limited(None)),
        }
    }

    /// A way to have the body back after it was handed to a connection. `None` if there is none.
    pub fn share(&mut self) -> Option<TakeBack> {
        let shared = match std::mem::replace(&mut self.source, Source::Empty) {
            Source::Empty => return None,
            Source::Own(incoming) => {
                let length = incoming.size_hint().exact();
                let shared = Shared { incoming: Some(incoming), length, ..Shared::default() };
                let shared = Arc::new(Mutex::new(shared));
                self.source = Source::Shared(Arc::clone(&shared), Turn::default());
                shared
            }
            Source::Shared(shared, turn) => {
                self.source = Source::Shared(Arc::clone(&shared), turn);
                shared
            }
        };
        Some(TakeBack { shared, http2: self.http2, limit: self.limit.clone(), received: self.received.clone() })
    }

    /// Keeps what is read, as far as it fits, and gives a way to have the body back even then. `None` if there is none.
    pub fn keep(&mut self, room: &Arc<Room>) -> Option<TakeBack> {
        let hold = self.share()?;
        let mut shared = lock(&hold.shared);
        if !shared.begun && shared.length.is_none_or(|length| length <= LONGEST as u64) {
            shared.kept = Kept::begin(room, shared.length);
        }
        drop(shared);
        Some(hold)
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TakeBack {
    /// The body from its beginning, if nothing of it has been read or all of that is kept. Whoever read it gets no more.
    pub fn take_back(&self) -> Option<RequestBody> {
        let mut shared = lock(&self.shared);
        if shared.broken_off || (shared.begun && shared.kept.is_none()) {
            return None;
        }
        let (data, trailers) = shared.kept.as_ref().map(Kept::copy).unwrap_or_default();
        shared.turn += 1;
        let turn = Turn { number: shared.turn, data, trailers, ended: false };
        let reader = shared.reader.take();
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
        // It stays shared: a hold on it is one on whoever sends it next, too.
        let source = Source::Shared(Arc::clone(&self.shared), turn);
        let (limit, received) = (self.limit.clone(), self.received.clone());
        Some(RequestBody { source, http2: self.http2, limit, seen: 0, received, gate: None, reading: None })
    }

    /// Whether its caller did not send all of it.
    pub fn is_broken(&self) -> bool {
        lock(&self.shared).broken
    }

    /// It will not be asked back any more.
    pub fn let_go(&self) {
        let kept = lock(&self.shared).kept.take();
        drop(kept);
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

impl Shared {
    /// For the reader whose turn it is.
    fn poll(
        &mut self,
        turn: &mut Turn,
        http2: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.broken_off || turn.number != self.turn {
            return Poll::Ready(Some(Err(BodyError::BrokenOff)));
        }
        if !turn.data.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut turn.data)))));
        }
        if self.ended {
            let trailers = turn.trailers.take();
            turn.ended = trailers.is_none();
            return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let polled = poll_whole(incoming, http2, cx);
        self.begun |= polled.is_ready();
        self.reader = polled.is_pending().then(|| cx.waker().clone());
        match ready!(polled) {
            None => {
                (self.ended, turn.ended) = (true, true);
                Poll::Ready(None)
            }
            Some(Ok(frame)) => {
                let fits = self.kept.as_mut().is_some_and(|kept| match (frame.data_ref(), frame.trailers_ref()) {
                    (Some(data), _) => kept.push(data),
                    (None, Some(trailers)) => kept.end(trailers),
                    (None, None) => true,
                });
                if !fits {
                    self.kept = None;
                }
                // Nothing comes behind trailers.
                self.ended |= frame.is_trailers();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                (self.kept, self.broken) = (None, true);
                Poll::Ready(Some(Err(error)))
            }
        }
    }

    fn is_end(&self, turn: &Turn) -> bool {
        if self.broken_off || turn.number != self.turn || !turn.data.is_empty() || turn.trailers.is_some() {
            return false;
        }
        // A later reader must not know sooner than the first one did that nothing more comes.
        turn.ended || (turn.number == 0 && self.incoming.as_ref().is_none_or(Body::is_end_stream))
    }
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
            Source::Shared(shared, turn) => lock(shared).poll(turn, this.http2, cx),
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
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        this.seen += bytes as u64;
        if let Some(received) = &this.received {
            received.add(bytes);
        }
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
            Source::Shared(shared, turn) => lock(shared).is_end(turn),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Own(incoming) => incoming.size_hint(),
            // As it was for the first reader, whatever has come meanwhile: the pod must get the same bytes.
            Source::Shared(shared, _) => match lock(shared).length {
                Some(length) => SizeHint::with_exact(length.saturating_sub(self.seen)),
                None => SizeHint::default(),
            },
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
    /// The request's body at an HTTP/2 pod, where it ends with the response, whole or not. An HTTP/1 connection has its own.
    pub upload: Option<TakeBack>,
    /// Counts the request as present.
    pub counted: Counted,
    /// `requestSeconds`: past it, whatever serves the exchange is dropped, and this body with it.
    pub deadline: Option<Deadline>,
    /// What waits of it for its caller, over HTTP/2.
    pub stream: Option<Stream>,
}

impl Held {
    /// Done when more of the body may be asked for.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        self.stream.as_ref().map_or(Poll::Ready(()), |stream| stream.poll_room(cx))
    }

    /// Counts a piece of the body as waiting for the caller. Whether that is enough for now.
    fn count(&self, bytes: Bytes) -> (Piece, bool) {
        match &self.stream {
            Some(stream) => stream.take(bytes),
            None => (bytes.into(), false),
        }
    }
}

/// A response's body. With it goes what is remembered of the request, where anything is.
#[derive(Debug)]
pub struct ResponseBody(Content, Option<Box<Trail>>);

#[derive(Debug)]
enum Content {
    Ours(Bytes, Option<Deadline>),
    /// On the heap: it goes through many hands.
    Pod(Box<FromPod>),
}

#[derive(Debug)]
struct FromPod {
    body: PodBody,
    held: Option<Held>,
}

impl ResponseBody {
    /// No body.
    pub const fn empty() -> Self {
        Self(Content::Ours(Bytes::new(), None), None)
    }

    /// A text of ours.
    pub fn full(text: impl Into<Bytes>) -> Self {
        Self(Content::Ours(text.into(), None), None)
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
    pub fn pod(body: PodBody, held: Held) -> Self {
        Self(Content::Pod(Box::new(FromPod { body, held: Some(held) })), None)
    }

    /// Takes what is remembered of its request, which is told when this ends.
    pub fn follow(&mut self, trail: Box<Trail>) {
        self.1 = Some(trail);
    }

    /// The pod that it comes from, as long as it does.
    pub fn source(&self) -> Option<&Arc<Pod>> {
        match &self.0 {
            Content::Pod(pod) => pod.held.as_ref().map(|held| held.taken.pod()),
            Content::Ours(..) => None,
        }
    }

    /// The function whose pod that is.
    pub fn function(&self) -> Option<&Arc<Function>> {
        match &self.0 {
            Content::Pod(pod) => pod.held.as_ref().map(|held| held.counted.function()),
            Content::Ours(..) => None,
        }
    }

    /// Lets go of everything: the body was read to its end, or it never will be.
    fn end(&mut self, whole: bool) {
        if let Some(trail) = &mut self.1 {
            trail.ends(whole);
        }
        let Content::Pod(pod) = &mut self.0 else { return };
        let Some(held) = pod.held.take() else { return };
        // Before the slot is given back. A pod may answer whole and leave the rest of the request unread without saying
        // so: a caller that is silent then would keep its connection and the stream for as long as it likes.
        if let Some(upload) = held.upload {
            upload.break_off();
        }
    }
}

impl Body for ResponseBody {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        let this = self.get_mut();
        let mut frame = match &mut this.0 {
            Content::Ours(text, _) => {
                let text = std::mem::take(text);
                if let Some(trail) = &mut this.1 {
                    trail.sends(text.len());
                }
                return Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text.into()))));
            }
            Content::Pod(pod) => {
                let FromPod { body, held } = &mut **pod;
                if let Some(held) = held {
                    ready!(held.poll_room(cx));
                }
                match ready!(Pin::new(&mut *body).poll_frame(cx)).transpose() {
                    Ok(None) => None,
                    Ok(Some(frame)) => Some(Ok(frame.map_data(|bytes| {
                        let Some(held) = held else { return bytes.into() };
                        let (piece, is_enough) = held.count(bytes);
                        if is_enough {
                            body.slow_down();
                        }
                        piece
                    }))),
                    Err(error) => Some(Err(error.into())),
                }
            }
        };
        match &mut frame {
            None => this.end(true),
            Some(Err(_)) => this.end(false),
            Some(Ok(frame)) => {
                if let Some(fields) = frame.trailers_mut() {
                    trailers::clean(fields);
                }
                if let Some(trail) = &mut this.1 {
                    trail.sends(frame.data_ref().map_or(0, Buf::remaining));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Ours(text, _) => text.is_empty(),
            Content::Pod(pod) => pod.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Ours(text, _) => SizeHint::with_exact(text.len() as u64),
            Content::Pod(pod) => pod.body.size_hint(),
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
