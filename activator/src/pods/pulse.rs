//! What becomes of the requests of one pod, in as few atomic operations as that takes: one for a request that is answered.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::outlier::FAILURES;

/// Counts of one pod.
#[derive(Debug, Default)]
pub struct Pulse {
    heads: AtomicU64,
    failures: AtomicU32,
}

impl Pulse {
    /// A response has begun.
    pub fn answered(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
        // Read first: it is 0 nearly always, and a line that nobody writes is nobody's to wait for.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// A request failed at the pod. Whether those were too many in a row.
    #[must_use]
    pub fn failed(&self) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        before.saturating_add(1) >= FAILURES
    }

    /// The next failure is one too many, as the pod has had its chance.
    pub fn on_trial(&self) {
        self.failures.store(FAILURES - 1, Ordering::Relaxed);
    }

    /// Responses begun so far.
    pub fn heads(&self) -> u64 {
        self.heads.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_count_in_a_row() {
        let pulse = Pulse::default();
        for _ in 0..2 {
            assert!((1..FAILURES).all(|_| !pulse.failed()));
            pulse.answered();
        }
        assert!((1..FAILURES).all(|_| !pulse.failed()));
        assert!(pulse.failed() && pulse.failed());
        pulse.answered();
        assert!(!pulse.failed());
        pulse.on_trial();
        assert!(pulse.failed());
        assert_eq!(pulse.heads(), 3);
    }
}
