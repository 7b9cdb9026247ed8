//! Unused HTTP/1 connections, newest last.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::http1::{Connections, Line};

/// An unused connection.
#[derive(Debug)]
pub(super) struct Idle {
    pub(super) line: Line,
    pub(super) since: Instant,
}

impl Idle {
    /// Whether it has not been used for longer than `most`.
    pub(super) fn is_older(&self, now: Instant, most: Duration) -> bool {
        now.saturating_duration_since(self.since) > most
    }
}

/// A connection with a response on it. Comes back to the pool by [`Lease::finish`]; dropped, it is closed.
#[derive(Debug)]
pub struct Lease {
    pub(super) connections: Arc<Connections>,
    pub(super) line: Line,
}

impl Lease {
    /// The rest of the response stays where it is until [`Lease::proceed`] or [`Lease::finish`].
    pub fn pause(&self) {
        self.line.expects.pause();
    }

    /// What comes of the response is read.
    pub fn proceed(&self) {
        self.line.expects.proceed();
    }

    /// The response's body was read to its end: the connection can take another request.
    pub fn finish(self) {
        self.line.expects.over();
        self.connections.put(self.line);
    }
}
