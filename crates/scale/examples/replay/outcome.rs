//! What came of a policy.

use std::{collections::BTreeMap, fmt::Write};

/// Sums over all functions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    /// Times that a request found no replica at all.
    pub(crate) wakes: u64,
    /// Requests that waited, by the milliseconds they did.
    pub(crate) held: BTreeMap<u64, u64>,
    /// Replica-milliseconds, starting ones included.
    pub(crate) existed: u64,
    /// Replica-milliseconds in which they were not needed.
    pub(crate) wasted: u64,
    /// Replica-milliseconds of each minute.
    pub(crate) minutes: Vec<u64>,
}

impl Outcome {
    pub(crate) fn new(minutes: usize) -> Self {
        Self { minutes: vec![0; minutes], ..Self::default() }
    }

    fn waited(&self) -> u64 {
        self.held.values().sum()
    }

    /// Milliseconds that so many percent of the requests waited at most: of those that waited, or of all.
    pub(crate) fn percentile(&self, percent: u64, of_all: bool) -> u64 {
        let waited = self.waited();
        let all = if of_all { self.requests } else { waited };
        let mut left = (all * percent).div_ceil(100).saturating_sub(all - waited);
        for (milliseconds, requests) in &self.held {
            if left == 0 {
                break;
            }
            if left <= *requests {
                return *milliseconds;
            }
            left -= requests;
        }
        0
    }
}

/// One line a policy.
#[allow(clippy::cast_precision_loss)]
pub(crate) fn table(outcomes: &[(&str, Outcome)]) -> String {
    let mut text = format!(
        "{:<22}{:>10}{:>10}{:>9}{:>10}{:>10}{:>12}{:>17}{:>12}\n",
        "policy", "requests", "wakes", "held", "held p50", "held p99", "p99 of all", "replica-seconds", "wasted"
    );
    for (name, outcome) in outcomes {
        let held = 100.0 * outcome.waited() as f64 / outcome.requests.max(1) as f64;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name:<22}{:>10}{:>10}{held:>7.3} %{:>7} ms{:>7} ms{:>9} ms{:>17}{:>12}",
            outcome.requests,
            outcome.wakes,
            outcome.percentile(50, false),
            outcome.percentile(99, false),
            outcome.percentile(99, true),
            outcome.existed / 1000,
            outcome.wasted / 1000,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles() {
        // 50 of 1,000 waited: 49 for 10 ms, one for 900.
        let held = BTreeMap::from([(10, 49), (900, 1)]);
        let outcome = Outcome { requests: 1000, held, ..Outcome::default() };
        assert_eq!([50, 98, 99, 100].map(|percent| outcome.percentile(percent, false)), [10, 10, 900, 900]);
        assert_eq!([50, 95, 96, 99, 100].map(|percent| outcome.percentile(percent, true)), [0, 0, 10, 10, 900]);
        assert_eq!(Outcome::default().percentile(99, true), 0);
    }
}
