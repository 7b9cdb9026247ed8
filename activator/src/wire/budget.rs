//! What a caller may do for a while, and again after a while. Pure.

use tokio::time::Instant;

/// A budget that fills up by itself.
///
/// It looks at the clock only when it is used up, so spending from a full one costs a subtraction.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    most: u64,
    per_second: u64,
    filled: Instant,
}

/// There is nothing left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spent;

impl Budget {
    /// Full, with room for as many seconds' worth.
    pub(super) fn new(per_second: u64, seconds: u64, now: Instant) -> Self {
        let most = per_second.saturating_mul(seconds);
        Self { left: most, most, per_second, filled: now }
    }

    /// Takes this much.
    pub(super) fn spend(&mut self, cost: u64, now: impl FnOnce() -> Instant) -> Result<(), Spent> {
        if self.left < cost {
            self.fill(now());
        }
        self.left = self.left.checked_sub(cost).ok_or(Spent)?;
        Ok(())
    }

    /// Gives so much back, up to a full one.
    pub(super) fn earn(&mut self, more: u64) {
        self.left = self.left.saturating_add(more).min(self.most);
    }

    fn fill(&mut self, now: Instant) {
        let passed = u64::try_from(now.saturating_duration_since(self.filled).as_micros()).unwrap_or(u64::MAX);
        let more = passed.saturating_mul(self.per_second) / 1_000_000;
        // A moment that is too short for anything is not lost.
        if more > 0 {
            self.filled = now;
            self.earn(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_fills_up_with_time_and_not_beyond() {
        let start = Instant::now();
        let at = |ms| move || start + Duration::from_millis(ms);
        let mut budget = Budget::new(100, 2, start);
        for _ in 0..200 {
            budget.spend(1, || unreachable!("a full budget needs no clock")).unwrap();
        }
        assert_eq!(budget.spend(1, at(5)), Err(Spent));
        assert_eq!(budget.spend(1, at(10)), Ok(()));
        assert_eq!(budget.spend(1, at(15)), Err(Spent), "half a permit is none");
        assert_eq!(budget.spend(1, at(20)), Ok(()), "and is not lost");
        assert_eq!(budget.spend(201, at(100_000)), Err(Spent), "an hour saves up no more than it has room for");
        assert_eq!(budget.spend(200, at(100_000)), Ok(()));
        budget.earn(1000);
        assert_eq!(budget.spend(201, at(100_000)), Err(Spent));
        assert_eq!(budget.spend(200, at(100_000)), Ok(()));
    }
}
