//! How many connections a pool has, for those who look from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Connections to one pod at one address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// All of them, but those that went over to another protocol.
    pub open: usize,
    /// Those over HTTP/1 that no request uses.
    pub idle: usize,
}

/// Counts connections while they are served.
#[derive(Clone, Debug, Default)]
pub(super) struct Served(Arc<AtomicUsize>);

/// Kept by whatever serves a connection, to its end.
#[derive(Debug)]
pub(super) struct Alive(Arc<AtomicUsize>);

impl Served {
    /// One more.
    pub(super) fn enter(&self) -> Alive {
        self.0.fetch_add(1, Ordering::Relaxed);
        Alive(Arc::clone(&self.0))
    }

    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
