//! One request: a future that is run by hand, so that the script says who goes first.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::time::Instant;

use crate::function::Function;
use crate::path::call::Answer;
use crate::path::fault::{Failure, Fault};

type Future = Pin<Box<dyn std::future::Future<Output = Result<Answer, Box<Failure>>> + Send>>;

/// Counts what happens, one thing after the other.
pub(super) type Ticks = Arc<AtomicU64>;

/// Whether a request is to run, and since when.
pub(super) struct Flag {
    woken: AtomicBool,
    since: AtomicU64,
    /// When it was woken the last time: by a pod that it is given, or by its deadline.
    last: AtomicU64,
    ticks: Ticks,
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        let tick = self.ticks.fetch_add(1, Ordering::AcqRel);
        self.last.store(tick, Ordering::Release);
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.since.store(tick, Ordering::Release);
        }
    }
}

/// One that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiting {
    /// By the ticks.
    pub(super) since: u64,
    pub(super) deadline: Instant,
}

/// How it ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    Answered,
    Cancelled,
    Failed(Fault),
}

pub(super) struct Request {
    pub(super) function: Arc<Function>,
    pub(super) arrived: Instant,
    /// Bytes of its head.
    pub(super) bytes: usize,
    pub(super) waiting: Option<Waiting>,
    /// How long it was at pods, up to now or until it went to the one where it is since then.
    pub(super) at_pods: Duration,
    there: Option<Instant>,
    /// Whether it has been at a pod.
    pub(super) visited: bool,
    /// Whether its present visit was granted from the queue.
    pub(super) queued: bool,
    pub(super) outcome: Option<Outcome>,
    pub(super) begun: bool,
    future: Option<Future>,
    flag: Arc<Flag>,
}

/// What a turn came to.
pub(super) enum Turn {
    /// It goes on.
    Pending,
    /// It ended.
    Ended,
}

impl Request {
    pub(super) fn new(function: Arc<Function>, arrived: Instant, bytes: usize, future: Future, ticks: &Ticks) -> Self {
        let flag = Flag {
            woken: AtomicBool::new(false),
            since: AtomicU64::new(0),
            last: AtomicU64::new(0),
            ticks: Arc::clone(ticks),
        };
        let flag = Arc::new(flag);
        flag.clone().wake();
        Self {
            function,
            arrived,
            bytes,
            waiting: None,
            at_pods: Duration::ZERO,
            there: None,
            visited: false,
            queued: false,
            outcome: None,
            begun: false,
            future: Some(future),
            flag,
        }
    }

    pub(super) fn is_woken(&self) -> bool {
        self.future.is_some() && self.flag.woken.load(Ordering::Acquire)
    }

    /// When it was woken, by the ticks.
    pub(super) fn woken_since(&self) -> u64 {
        self.flag.since.load(Ordering::Acquire)
    }

    /// The same of the last time.
    pub(super) fn woken_last(&self) -> u64 {
        self.flag.last.load(Ordering::Acquire)
    }

    /// Lets it run.
    pub(super) fn turn(&mut self) -> Turn {
        self.flag.woken.store(false, Ordering::Release);
        self.begun = true;
        let waker = Waker::from(Arc::clone(&self.flag));
        let Some(future) = &mut self.future else { return Turn::Ended };
        let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(&waker)) else { return Turn::Pending };
        self.future = None;
        self.outcome = Some(answer.map_or_else(|failure| Outcome::Failed(failure.fault), |_| Outcome::Answered));
        Turn::Ended
    }

    /// It has come to a pod, or is at none any more.
    pub(super) fn moved(&mut self, is_there: bool) {
        let now = Instant::now();
        if let Some(since) = self.there.take() {
            self.at_pods += now - since;
        }
        self.there = is_there.then_some(now);
    }

    /// Its caller goes away.
    pub(super) fn cancel(&mut self) {
        self.future = None;
        self.waiting = None;
        self.outcome = Some(Outcome::Cancelled);
    }
}
