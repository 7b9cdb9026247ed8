//! The idle clock: since when has nobody called a function?

use std::time::{Duration, Instant};

/// What one activator says of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has not been heard for too long: it may be serving requests this very moment.
    Unknown,
    /// A request is in flight or held there.
    Busy,
    /// No request since then. An activator vouches for its own lifetime only: one that never saw a request says when it
    /// started.
    Quiet(Instant),
}

/// What all activators together say of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Idle {
    /// For how long no activator that is heard has seen a request; `None` while one is there, or before the first word.
    pub quiet: Option<Duration>,
    /// Activators that are heard.
    pub known: usize,
    /// Activators that count and are not heard.
    pub unknown: usize,
}

impl Idle {
    /// Whether the picture is complete: there is an activator, and every one is heard. Without it nothing is scaled
    /// down.
    pub fn complete(&self) -> bool {
        self.known > 0 && self.unknown == 0
    }
}

/// The latest activity of one function that any activator ever reported.
///
/// It outlives the activators: what one reported before it went away still counts.
#[derive(Clone, Debug, Default)]
pub struct IdleClock {
    latest: Option<Instant>,
}

impl IdleClock {
    /// Somebody was active at that time, by other signs than a request: a function that was just woken has its whole
    /// window, even before the activator that woke it has said why.
    pub fn touch(&mut self, at: Instant) {
        self.latest = self.latest.max(Some(at));
    }

    /// Takes in what every activator that counts says now, and gives the sum of it.
    pub fn observe(&mut self, now: Instant, seen: impl IntoIterator<Item = Seen>) -> Idle {
        let mut idle = Idle { quiet: None, known: 0, unknown: 0 };
        let mut busy = false;
        for one in seen {
            match one {
                Seen::Unknown => {
                    idle.unknown += 1;
                    continue;
                }
                Seen::Busy => {
                    busy = true;
                    self.latest = Some(now);
                }
                // A report from the future is one from now: clocks are compared, not trusted.
                Seen::Quiet(since) => self.latest = self.latest.max(Some(since.min(now))),
            }
            idle.known += 1;
        }
        if !busy {
            idle.quiet = self.latest.map(|latest| now.saturating_duration_since(latest));
        }
        idle
    }
}

#[cfg(test)]
mod tests;
