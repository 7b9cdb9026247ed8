//! How often starts of a revision have failed of late: what starts and fails over and over does so ever more rarely. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Pause between lowering a failed start and lowering the next one, doubled with each. Until it is lowered, callers hear the
/// old reason though its cause may be gone, so the longest pause is short.
const LOWER: Duration = Duration::from_secs(1);
const LOWER_MOST: Duration = Duration::from_secs(5);
/// Pause between lowering a failed start and starting again for want of `minReplicas`, doubled with each. A request
/// starts the function at once, whatever this says.
const RAISE: Duration = Duration::from_secs(2);
const RAISE_MOST: Duration = Duration::from_secs(300);
/// A revision that has not failed for so long starts afresh.
const FORGET: Duration = Duration::from_secs(900);

/// Failed starts, by revision.
#[derive(Debug, Default)]
pub struct Starts(BTreeMap<String, Failed>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Failed {
    fn pause(self, first: Duration, most: Duration) -> Duration {
        (first * 2_u32.saturating_pow(self.times.saturating_sub(1).min(16))).min(most)
    }
}

impl Starts {
    /// A failed start was brought back to zero.
    pub fn lowered(&mut self, revision: &str, now: Instant) {
        let failed = self.0.entry(revision.to_owned()).or_insert(Failed { times: 0, last: now });
        *failed = Failed { times: failed.times.saturating_add(1), last: now };
    }

    /// Whether the next failed start may be lowered: the first at once, later ones after a pause.
    pub fn may_lower(&self, revision: &str, now: Instant) -> bool {
        self.rested(revision, LOWER, LOWER_MOST, now)
    }

    /// Whether it may be started without a request.
    pub fn may_raise(&self, revision: &str, now: Instant) -> bool {
        self.rested(revision, RAISE, RAISE_MOST, now)
    }

    /// Forgets what is long ago, and revisions that are not among `there`.
    pub fn tidy<'a>(&mut self, there: impl Iterator<Item = &'a str> + Clone, now: Instant) {
        self.0.retain(|revision, failed| {
            now.saturating_duration_since(failed.last) < FORGET && there.clone().any(|name| name == revision)
        });
    }

    fn rested(&self, revision: &str, first: Duration, most: Duration, now: Instant) -> bool {
        let failed = self.0.get(revision);
        failed.is_none_or(|failed| now.saturating_duration_since(failed.last) >= failed.pause(first, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let start = Instant::now();
        let mut starts = Starts::default();
        assert!(starts.may_lower("a", start) && starts.may_raise("a", start));
        let mut now = start;
        let pauses = [1, 2, 4, 5, 5, 5, 5].map(Duration::from_secs);
        for pause in pauses {
            starts.lowered("a", now);
            assert!(!starts.may_lower("a", now + pause - Duration::from_millis(1)));
            assert!(starts.may_lower("a", now + pause));
            now += pause;
        }
        assert!(starts.may_lower("b", now), "another revision has nothing to do with it");
        starts.lowered("a", now);
        assert!(!starts.may_raise("a", now + Duration::from_secs(255)));
        assert!(starts.may_raise("a", now + Duration::from_secs(256)));
    }

    #[test]
    fn what_is_long_ago_or_gone_is_forgotten() {
        let start = Instant::now();
        let mut starts = Starts::default();
        starts.lowered("a", start);
        starts.lowered("b", start);
        starts.tidy(["a"].into_iter(), start + Duration::from_secs(1));
        assert_eq!(starts.0.len(), 1);
        starts.tidy(["a"].into_iter(), start + FORGET);
        assert!(starts.0.is_empty());
    }
}
