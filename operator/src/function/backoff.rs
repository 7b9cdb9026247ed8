//! How long to wait after an error: per object, doubling, with jitter, so that a thousand objects that failed together do
//! not come back together.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(60);

/// Attempts by object.
#[derive(Debug)]
pub struct Backoff<T> {
    failed: Mutex<HashMap<T, u32>>,
}

impl<T> Default for Backoff<T> {
    fn default() -> Self {
        Self { failed: Mutex::default() }
    }
}

impl<T: Eq + Hash> Backoff<T> {
    /// The wait after one more failure: 0.25 s doubled up to `longest` or a minute, of which up to a half is taken off.
    pub fn next(&self, key: T, longest: Duration) -> Duration {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let times = failed.entry(key).or_default();
        let whole = FIRST.saturating_mul(1 << (*times).min(10)).min(longest).min(LONGEST);
        *times = times.saturating_add(1);
        whole.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// It went well, or the object is gone.
    pub fn reset(&self, key: &T) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_start_again() {
        let backoff = Backoff::default();
        let waits: Vec<_> = (0..20).map(|_| backoff.next("a", LONGEST)).collect();
        assert!(waits[0] >= FIRST / 2 && waits[0] <= FIRST, "{waits:?}");
        assert!(waits[4] >= FIRST * 8 && waits[4] <= FIRST * 16, "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= LONGEST), "{waits:?}");
        assert!(backoff.next("b", LONGEST) <= FIRST);
        backoff.reset(&"a");
        assert!(backoff.next("a", LONGEST) <= FIRST);
    }
}
