//! How long a pod waits for the body of a request.
//!
//! Only the time counts in which the pod wants more of the body and its caller sends none. A held request's body is not
//! wanted yet, nor one that the pod does not read, nor one that waits for `100 Continue`. From the response's head on it is
//! a conversation, in which either side may be silent for as long as `requestSeconds` allows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Context;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::time::Instant;

use super::deadline;
use crate::args::Limits;

/// A body that may be late but is on its way again is looked at after this.
const LOOK: Duration = Duration::from_secs(1);

/// How slow a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    idle: Duration,
    grace: Duration,
    /// Bytes a second.
    rate: u32,
}

impl Pace {
    /// As the limits have it; 0 is none.
    pub fn new(limits: &Limits) -> Self {
        let idle = if limits.body_idle.is_zero() { Duration::MAX } else { limits.body_idle };
        Self { idle, grace: limits.body_grace, rate: limits.min_body_rate }
    }

    /// How much longer a body may be waited for, of which so many bytes have come in so long a wait.
    fn left(self, bytes: u64, waited: Duration) -> Duration {
        if self.rate == 0 {
            return self.idle;
        }
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / u64::from(self.rate));
        self.idle.min(self.grace.max(earned).saturating_sub(waited))
    }
}

/// A body on its way, as whoever keeps the time sees it.
#[derive(Debug)]
pub(super) struct Upload {
    began: Instant,
    /// Milliseconds after which it may be too slow, never less than the truth; the lowest bit says that it is waited for.
    due: AtomicU64,
    expired: AtomicBool,
    reader: AtomicWaker,
}

impl Upload {
    fn set(&self, due: Option<Instant>, waiting: bool) {
        let due = due.map_or(u64::MAX >> 1, |due| {
            // Rounded up: it is never over before its time.
            u64::try_from(due.saturating_duration_since(self.began).as_millis()).map_or(u64::MAX >> 1, |ms| ms + 1)
        });
        self.due.store(due << 1 | u64::from(waiting), Ordering::Release);
    }

    /// When to look again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.began.checked_add(Duration::from_millis(self.due.load(Ordering::Acquire) >> 1))
    }

    /// Ends it for its reader if it is too slow; whether it is.
    pub(super) fn look(&self, now: Instant) -> bool {
        let word = self.due.load(Ordering::Acquire);
        if self.due().is_none_or(|due| due > now) {
            return false;
        }
        if word & 1 == 1 {
            self.expired.store(true, Ordering::Release);
            self.reader.wake();
            return true;
        }
        let later = u64::try_from((now + LOOK).saturating_duration_since(self.began).as_millis()).unwrap_or(0);
        // Otherwise its reader has just said better.
        let _ = self.due.compare_exchange(word, later << 1, Ordering::AcqRel, Ordering::Relaxed);
        false
    }
}

/// Whether a body was too slow, for who asks why an exchange broke.
#[derive(Debug)]
pub struct Slow(Arc<Upload>);

impl Slow {
    /// Whether it was.
    pub fn is_so(&self) -> bool {
        self.0.expired.load(Ordering::Acquire)
    }
}

/// A body on its way, as its reader sees it.
#[derive(Debug)]
pub struct Reading {
    upload: Arc<Upload>,
    pace: Pace,
    waited: Duration,
    since: Option<Instant>,
}

impl Reading {
    /// Of the body of the request that the present task serves. `None` where no connection is served.
    pub fn begin(pace: Pace) -> Option<(Self, Slow)> {
        let now = Instant::now();
        let upload = Arc::new(Upload {
            began: now,
            due: AtomicU64::new(0),
            expired: AtomicBool::new(false),
            reader: AtomicWaker::new(),
        });
        upload.set(now.checked_add(pace.left(0, Duration::ZERO)), false);
        deadline::watch_upload(&upload).then(|| {
            let slow = Slow(Arc::clone(&upload));
            (Self { upload, pace, waited: Duration::ZERO, since: None }, slow)
        })
    }

    /// Nothing has come. Whether that has been so for too long; if not, the reader is woken when it has.
    pub fn waits(&mut self, bytes: u64, cx: &Context<'_>) -> bool {
        self.upload.reader.register(cx.waker());
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            self.upload.set(now.checked_add(self.pace.left(bytes, self.waited)), true);
        }
        self.upload.expired.load(Ordering::Acquire)
    }

    /// Something has come, which makes it so many bytes.
    pub fn came(&mut self, bytes: u64) {
        if let Some(since) = self.since.take() {
            let now = Instant::now();
            self.waited += now - since;
            self.upload.set(now.checked_add(self.pace.left(bytes, self.waited)), false);
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Nobody waits for it any more.
        self.upload.set(None, false);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::task::Poll;

    use tokio::time::sleep;

    use super::super::deadline::{Late, watched};
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn pace() -> Pace {
        Pace::new(&Limits::default())
    }

    #[test]
    fn a_rate_counts_after_a_while_and_a_pause_has_an_end() {
        for (bytes, waited, left) in [
            (0, 0, 20),
            (0, 15, 5),
            (1999, 19, 1),
            (2500, 20, 5),
            (2500, 25, 0),
            (2500, 100, 0),
            (5000, 15, 30),
            (1 << 30, 5000, 30),
            (u64::MAX, 0, 30),
        ] {
            assert_eq!(pace().left(bytes, waited * SECOND), left * SECOND, "{bytes} bytes in {waited} s");
        }
        let none = Limits { body_idle: Duration::ZERO, min_body_rate: 0, ..Limits::default() };
        assert_eq!(Pace::new(&none).left(0, 1000 * SECOND), Duration::MAX);
    }

    /// When a reader is told, of a body of which so many bytes come as often.
    async fn ends(bytes: u64, every: Duration) -> Duration {
        let began = Instant::now();
        let serving = async {
            let (mut reading, slow) = Reading::begin(pace()).unwrap();
            let reader = tokio::spawn(async move {
                let mut seen = 0;
                loop {
                    let mut more = std::pin::pin!(sleep(every));
                    let over = poll_fn(|cx| {
                        if more.as_mut().poll(cx).is_ready() {
                            return Poll::Ready(false);
                        }
                        if reading.waits(seen, cx) { Poll::Ready(true) } else { Poll::Pending }
                    });
                    if over.await {
                        return;
                    }
                    seen += bytes;
                    reading.came(seen);
                }
            });
            reader.await.unwrap();
            assert!(slow.is_so());
        };
        watched(serving, Late::default).await.unwrap();
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_slow_ends_for_its_reader() {
        for (bytes, every, at) in [
            (0, 1000 * SECOND, 20),
            (10_000, 1000 * SECOND, 20),
            // Silence alone, after a good beginning.
            (1 << 20, 31 * SECOND, 20),
            (1, SECOND, 20),
            (90, SECOND, 20),
        ] {
            let ended = ends(bytes, every).await;
            assert!(ended >= at * SECOND && ended < (at + 2) * SECOND, "{bytes} every {every:?}: {ended:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_keeps_its_pace_does_not() {
        for (bytes, every) in [(110, SECOND), (1 << 20, 19 * SECOND)] {
            let ended = tokio::time::timeout(10_000 * SECOND, ends(bytes, every)).await;
            assert!(ended.is_err(), "{bytes} every {every:?}: {ended:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_nobody_waits_for_may_take_any_time() {
        let serving = async {
            let (mut reading, slow) = Reading::begin(pace()).unwrap();
            // The pod does not read.
            sleep(1000 * SECOND).await;
            assert!(!slow.is_so());
            // Then it does.
            poll_fn(|cx| if reading.waits(0, cx) { Poll::Ready(()) } else { Poll::Pending }).await;
            assert!(slow.is_so());
        };
        let began = Instant::now();
        watched(serving, Late::default).await.unwrap();
        assert!(began.elapsed() >= 1020 * SECOND && began.elapsed() < 1022 * SECOND, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn nor_does_anybody_wait_for_one_that_is_dropped_or_answered() {
        let serving = async {
            let (mut reading, slow) = Reading::begin(pace()).unwrap();
            poll_fn(|cx| Poll::Ready(reading.waits(0, cx))).await;
            drop(reading);
            sleep(100 * SECOND).await;
            assert!(!slow.is_so());
            let (mut reading, slow) = Reading::begin(pace()).unwrap();
            poll_fn(|cx| Poll::Ready(reading.waits(0, cx))).await;
            let _response = super::super::Deadline::set(Instant::now() + 1000 * SECOND);
            sleep(100 * SECOND).await;
            assert!(!slow.is_so());
            pending::<()>().await;
        };
        assert!(tokio::time::timeout(500 * SECOND, watched(serving, Late::default)).await.is_err());
    }
}
