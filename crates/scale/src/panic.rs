//! Panic mode: while it lasts, the number of replicas only rises.

use std::time::{Duration, Instant};

/// Whether a function is in panic, and the largest number that was decided since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Panic {
    since: Option<Instant>,
    most: i32,
}

impl Panic {
    /// For a function of which nothing is remembered. With more than one replica it begins in panic at that number: the
    /// averages know too little yet to lower it.
    pub fn new(now: Instant, size: i32) -> Self {
        if size > 1 { Self { since: Some(now), most: size } } else { Self::default() }
    }

    /// Begins or extends it while `over`; else ends it once the stable window has passed since it was begun or extended:
    /// by then the surge has made its way into the stable average.
    pub fn observe(&mut self, now: Instant, over: bool, stable_window: Duration) {
        if over {
            self.since = Some(now);
        } else if self.since.is_some_and(|since| now.saturating_duration_since(since) > stable_window) {
            *self = Self::default();
        }
    }

    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.since.is_some()
    }

    /// The ratchet: the largest of this result and, in panic, of all since it began.
    pub fn hold(&mut self, result: i32) -> i32 {
        if !self.is_on() {
            return result;
        }
        self.most = self.most.max(result);
        self.most
    }
}

#[cfg(test)]
mod tests;
