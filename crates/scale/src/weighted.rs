//! The weighted average: the newest second counts most.
//!
//! Knative gives the i-th newest second of a window of `b` seconds the weight `c × (1 − c)^i` with
//! `c = max(0.2, 1 − 0.0001^(1/b))`, so that the weights of the whole window sum to at least 0.9999. The same weights are
//! those of an exponential decay with the rate `k = −ln(1 − c)` per second, because the decay's own weight of the i-th
//! second is `e^(−k·i) − e^(−k·(i+1)) = c × (1 − c)^i`. A decaying sum needs no buckets, and what is told late is added
//! with what its decay has left of it: so this average is exact, for any order of reports, in 48 bytes.
//!
//! Where it differs from the buckets: inside one second the newer part weighs more, and what is older than the window
//! still weighs, at most 0.0001 of its load. As in Knative, it does not divide by the time since the first write: in the
//! first seconds it is low.

use std::time::{Duration, Instant};

use crate::window::Sum;

/// Least coefficient of a second, Knative's `minExponent`.
pub const LEAST_COEFFICIENT: f64 = 0.2;
/// What the weights of a whole window may lack to 1.
pub const PRECISION: f64 = 0.0001;

/// Weight of the newest second of a window.
pub fn coefficient(window: Duration) -> f64 {
    let buckets = window.as_secs_f64().ceil().max(1.0);
    (1.0 - PRECISION.powf(1.0 / buckets)).max(LEAST_COEFFICIENT)
}

/// Per second, the decay whose weight of each second is that of the coefficient.
fn rate(window: Duration) -> f64 {
    -(1.0 - coefficient(window)).ln()
}

/// Weight of the newest so many seconds of a window together.
pub(crate) fn weight(window: Duration, seconds: f64) -> f64 {
    -(-rate(window) * seconds).exp_m1()
}

/// A decaying average.
#[derive(Clone, Debug)]
pub(crate) struct Decay {
    window: Duration,
    at: Instant,
    /// The average as of then.
    average: Sum,
}

impl Decay {
    pub(crate) fn new(now: Instant, window: Duration) -> Self {
        Self { window, at: now, average: Sum::default() }
    }

    /// Takes in a sum that is spread evenly over [from, to].
    pub(crate) fn add(&mut self, from: Instant, to: Instant, sum: Sum) {
        if to > self.at {
            self.average = self.at(to);
            self.at = to;
        }
        let length = to.saturating_duration_since(from).as_secs_f64();
        let weight = if length > 0.0 { weight(self.window, length) / length } else { rate(self.window) };
        self.average = self.average.plus(sum.times(weight * self.left(self.at.saturating_duration_since(to))));
    }

    /// The average at a time not before the last addition's.
    pub(crate) fn at(&self, now: Instant) -> Sum {
        self.average.times(self.left(now.saturating_duration_since(self.at)))
    }

    fn left(&self, age: Duration) -> f64 {
        (-rate(self.window) * age.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests;
