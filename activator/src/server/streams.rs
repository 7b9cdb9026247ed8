//! The streams of one HTTP/2 connection: each a task, and how long there has been none.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::debug;

use super::deadline::{Late, watched};

/// Runs streams, and counts those that are open.
#[derive(Clone, Debug)]
pub(super) struct Streams(Arc<Mutex<Open>>);

#[derive(Debug)]
struct Open {
    streams: usize,
    /// When the last one ended; at first, when the connection began.
    since: Instant,
}

impl Streams {
    /// None yet.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Open { streams: 0, since: Instant::now() })))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when there has been no stream for this long. hyper has no such limit for HTTP/2, not even for the preface.
    ///
    /// A stream ends here when the library has all of it. What the caller has not taken then waits on, and for so long nothing
    /// is unused: `patience`, if anything does.
    pub(super) async fn unused(&self, most: Duration, patience: impl Fn(Instant) -> Option<Duration>) {
        loop {
            let now = Instant::now();
            let until = {
                let open = self.lock();
                let since = if open.streams > 0 { now } else { open.since };
                since + most
            };
            if until > now {
                sleep_until(until).await;
            } else if let Some(patience) = patience(now) {
                // It may be taken at any time.
                sleep(patience.min(most)).await;
            } else {
                return;
            }
        }
    }
}

/// One stream that is open.
struct Counted(Streams);

impl Drop for Counted {
    fn drop(&mut self) {
        let mut open = self.0.lock();
        open.streams -= 1;
        open.since = Instant::now();
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        self.lock().streams += 1;
        let counted = Counted(self.clone());
        // Where it stays: moved into the task and pinned there, it would be kept twice.
        let stream = Box::pin(stream);
        tokio::spawn(async move {
            // What a caller does not take of one stream is the connection's affair.
            if watched(stream, Late::default).await.is_none() {
                debug!("A stream was reset: the time for its exchange is up.");
            }
            drop(counted);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn unused_is_without_a_stream_for_long() {
        let began = Instant::now();
        let streams = Streams::new();
        streams.execute(sleep(7 * SECOND));
        streams.execute(sleep(3 * SECOND));
        streams.unused(5 * SECOND, |_| None).await;
        assert_eq!(began.elapsed(), 12 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_first_stream_is_unused_too() {
        let began = Instant::now();
        Streams::new().unused(5 * SECOND, |_| None).await;
        assert_eq!(began.elapsed(), 5 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_stream_is_use() {
        let streams = Streams::new();
        streams.execute(std::future::pending());
        assert!(timeout(1000 * SECOND, streams.unused(SECOND, |_| None)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_to_be_taken_is_use_up_to_its_deadline() {
        let began = Instant::now();
        let streams = Streams::new();
        streams.execute(sleep(SECOND));
        streams
            .unused(2 * SECOND, |now| (began + 30 * SECOND).checked_duration_since(now).filter(|left| !left.is_zero()))
            .await;
        assert_eq!(began.elapsed(), 30 * SECOND);
        // It was taken early.
        let began = Instant::now();
        let streams = Streams::new();
        streams.unused(2 * SECOND, |now| (now < began + 7 * SECOND).then_some(100 * SECOND)).await;
        assert_eq!(began.elapsed(), 8 * SECOND);
    }
}
