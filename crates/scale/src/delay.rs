//! Scale-down delay: the largest result of some time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The delay is divided into so many slots; of each, one result is remembered.
pub const SLOTS: u32 = 64;

/// The results that are still the largest of some time: each later and smaller than the one before.
///
/// A result counts until it is `delay` old. One that is followed by a smaller one in the same slot counts up to 1/64 of the
/// delay longer. So at most 66 are remembered, however often decisions are made, and none while there is no delay.
#[derive(Clone, Debug, Default)]
pub struct Delay {
    /// Slots are counted from here.
    epoch: Option<Instant>,
    results: VecDeque<(Instant, i32)>,
}

impl Delay {
    /// Whether it remembers nothing.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// Takes in a result, and gives the largest one that is younger than `delay`. The times must not go back.
    pub fn hold(&mut self, now: Instant, result: i32, delay: Duration) -> i32 {
        if delay.is_zero() {
            *self = Self::default();
            return result;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let slot = |at: Instant| at.saturating_duration_since(epoch).as_nanos() / u128::from(width(delay));
        while self.results.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= delay) {
            self.results.pop_front();
        }
        while self.results.back().is_some_and(|(_, smaller)| *smaller <= result) {
            self.results.pop_back();
        }
        match self.results.back_mut() {
            Some((at, _)) if slot(*at) == slot(now) => *at = now,
            _ => self.results.push_back((now, result)),
        }
        self.results.front().map_or(result, |(_, largest)| *largest)
    }
}

/// Nanoseconds of one slot.
fn width(delay: Duration) -> u64 {
    u64::try_from((delay / SLOTS).as_nanos()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests;
