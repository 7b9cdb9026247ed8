//! How many connections of callers there are, and how many there were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts them.
#[derive(Debug, Default)]
pub struct Callers {
    accepted: AtomicU64,
    closed: AtomicU64,
}

/// One connection; it counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct Caller(Arc<Callers>);

impl Callers {
    /// One more.
    pub(super) fn enter(self: &Arc<Self>) -> Caller {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        Caller(Arc::clone(self))
    }

    /// Since the start.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Now.
    pub fn open(&self) -> u64 {
        // In this order: what is closed was accepted.
        let closed = self.closed.load(Ordering::Acquire);
        self.accepted().saturating_sub(closed)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.closed.fetch_add(1, Ordering::Release);
    }
}
