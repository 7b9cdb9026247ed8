//! What waits here of answers over HTTP/2 until their callers take it.
//!
//! hyper asks a body for its next piece as soon as the HTTP/2 library has the last one, whether the caller's windows let
//! anything out or not. Of a caller that opens streams and takes nothing, a piece or two a stream would wait here, each up to
//! the largest buffer. So a connection has a measure. Below it all is as above. Beyond it a body is asked for more only when
//! its last piece is out, and of its pod little is read at a time from then on: the rest waits there. A stream of which
//! nothing waits may always go on, so that those that stand still stop nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::task::AtomicWaker;
use tokio::time::Instant;

use crate::clock;
use crate::metrics::Metrics;

/// Bytes that may wait for one connection before its streams get one piece at a time.
pub const MEASURE: usize = 256 * 1024;

/// What waits for one connection.
#[derive(Debug)]
pub struct Untaken {
    bytes: AtomicUsize,
    /// By the process's clock in nanoseconds: the latest deadline of an exchange on the connection.
    until: AtomicU64,
    metrics: Arc<Metrics>,
}

impl Untaken {
    /// Nothing yet.
    pub fn new(metrics: &Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { bytes: AtomicUsize::new(0), until: AtomicU64::new(0), metrics: Arc::clone(metrics) })
    }

    /// For how long what waits may still do so. `None` if nothing waits, or may.
    pub fn patience(&self, now: Instant) -> Option<Duration> {
        if self.bytes.load(Ordering::Acquire) == 0 {
            return None;
        }
        let left = self.until.load(Ordering::Relaxed).saturating_sub(nanos(now));
        (left > 0).then(|| Duration::from_nanos(left))
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Acquire) > MEASURE
    }
}

fn nanos(moment: Instant) -> u64 {
    u64::try_from(clock::at(moment).as_nanos()).unwrap_or(u64::MAX)
}

/// What waits for one stream of it.
#[derive(Debug)]
pub struct Stream(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    connection: Arc<Untaken>,
    bytes: AtomicUsize,
    /// Who asks for the next piece.
    reader: AtomicWaker,
}

impl Stream {
    /// Nothing yet. What is to come may be taken until this deadline.
    pub fn new(connection: &Arc<Untaken>, deadline: Instant) -> Self {
        let connection = Arc::clone(connection);
        connection.until.fetch_max(nanos(deadline), Ordering::Relaxed);
        Self(Arc::new(Waiting { connection, bytes: AtomicUsize::new(0), reader: AtomicWaker::new() }))
    }

    /// Done when the stream's body may be asked for its next piece.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<()> {
        let waiting = &*self.0;
        let has_room = || waiting.bytes.load(Ordering::Acquire) == 0 || !waiting.connection.is_full();
        if has_room() {
            return Poll::Ready(());
        }
        waiting.reader.register(cx.waker());
        // The last piece may have gone meanwhile.
        if has_room() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// A piece of its body, which waits from now on. Whether the next one has to stay where it is until this one is out.
    pub fn take(&self, bytes: Bytes) -> (Piece, bool) {
        let (waiting, length) = (&self.0, bytes.len());
        waiting.bytes.fetch_add(length, Ordering::AcqRel);
        waiting.connection.bytes.fetch_add(length, Ordering::AcqRel);
        waiting.connection.metrics.untaken(length);
        (Piece { bytes, charged: Some((Arc::clone(waiting), length)) }, waiting.connection.is_full())
    }
}

/// A piece of an answer. It waits until it is dropped, as all of its memory is there until then.
#[derive(Debug)]
pub struct Piece {
    bytes: Bytes,
    charged: Option<(Arc<Waiting>, usize)>,
}

impl From<Bytes> for Piece {
    /// One that is not counted.
    fn from(bytes: Bytes) -> Self {
        Self { bytes, charged: None }
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let Some((waiting, length)) = self.charged.take() else { return };
        waiting.connection.metrics.taken(length);
        waiting.connection.bytes.fetch_sub(length, Ordering::AcqRel);
        if waiting.bytes.fetch_sub(length, Ordering::AcqRel) == length {
            waiting.reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::task::noop_waker_ref;
    use prometheus_client::registry::Registry;

    use super::*;

    fn may(stream: &Stream) -> bool {
        stream.poll_room(&Context::from_waker(noop_waker_ref())).is_ready()
    }

    fn connection() -> Arc<Untaken> {
        Untaken::new(&Metrics::new(&mut Registry::default()))
    }

    fn stream(connection: &Arc<Untaken>) -> Stream {
        Stream::new(connection, Instant::now())
    }

    fn bytes(length: usize) -> Bytes {
        vec![b'x'; length].into()
    }

    #[test]
    fn below_the_measure_a_stream_may_have_any_number_of_pieces() {
        let connection = connection();
        let stream = stream(&connection);
        let first = stream.take(bytes(MEASURE - 1));
        let second = stream.take(bytes(1));
        assert!(may(&stream) && !first.1 && !second.1);
        let third = stream.take(bytes(1));
        assert!(!may(&stream) && third.1);
        drop(second);
        assert!(may(&stream), "there is room again");
    }

    #[test]
    fn beyond_it_each_has_one_and_none_is_stopped_by_another() {
        let connection = connection();
        let [greedy, other] = [stream(&connection), stream(&connection)];
        let piece = greedy.take(bytes(2 * MEASURE)).0;
        assert!(may(&other), "nothing of it waits");
        let small = other.take(bytes(1)).0;
        assert!(!may(&other) && !may(&greedy));
        drop(small);
        assert!(may(&other) && !may(&greedy));
        drop(piece);
        assert!(may(&greedy));
        assert_eq!(connection.bytes.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn who_waits_is_woken_when_the_last_piece_is_out() {
        let connection = connection();
        let stream = stream(&connection);
        let (first, second) = (stream.take(bytes(MEASURE)).0, stream.take(bytes(MEASURE)).0);
        // In a task of its own: nobody else polls it.
        let room = tokio::spawn(async move { std::future::poll_fn(|cx| stream.poll_room(cx)).await });
        tokio::task::yield_now().await;
        assert!(!room.is_finished());
        drop((first, second));
        tokio::time::timeout(std::time::Duration::from_secs(30), room).await.expect("nobody woke it").unwrap();
    }

    #[test]
    fn what_waits_may_do_so_until_the_last_deadline() {
        clock::now();
        let (connection, now) = (connection(), Instant::now());
        let [late, early] = [9, 5].map(|seconds| Stream::new(&connection, now + Duration::from_secs(seconds)));
        assert_eq!(connection.patience(now), None, "nothing waits");
        let piece = early.take("a".into()).0;
        assert_eq!(connection.patience(now), Some(Duration::from_secs(9)));
        assert_eq!(connection.patience(now + Duration::from_secs(9)), None);
        drop((piece, late));
        assert_eq!(connection.patience(now), None);
    }

    #[test]
    fn a_piece_is_what_it_is_made_of() {
        let mut piece = stream(&connection()).take("abcdef".into()).0;
        piece.advance(1);
        assert_eq!((piece.remaining(), piece.chunk()), (5, &b"bcdef"[..]));
        assert_eq!(piece.copy_to_bytes(2), "bc");
        assert_eq!(Piece::from(Bytes::from("xy")).chunk(), b"xy");
    }
}
