//! What becomes of the requests of one pod, in two atomic operations each.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::outlier::FAILURES;

/// One request that waits for a response's head, in the word's upper 24 bits; below are the responses so far, room for
/// a million million of them.
const AWAITED: u64 = 1 << 40;

/// Counts of one pod.
#[derive(Debug, Default)]
pub struct Pulse {
    word: AtomicU64,
    failures: AtomicU32,
}

/// A request that waits for a response's head; until it is dropped.
#[derive(Debug)]
pub struct Awaited<'a> {
    pulse: &'a Pulse,
    answered: bool,
}

impl Pulse {
    /// A request goes out.
    pub fn sent(&self) -> Awaited<'_> {
        self.word.fetch_add(AWAITED, Ordering::Relaxed);
        Awaited { pulse: self, answered: false }
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
        self.word.load(Ordering::Relaxed) % AWAITED
    }

    /// Requests that wait for a response's head now.
    pub fn awaited(&self) -> u64 {
        self.word.load(Ordering::Relaxed) / AWAITED
    }
}

impl Awaited<'_> {
    /// The response has begun.
    pub fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        // The head counts in the same step.
        self.pulse.word.fetch_sub(AWAITED - u64::from(self.answered), Ordering::Relaxed);
        // Read first: it is 0 nearly always, and a line that nobody writes is nobody's to wait for.
        if self.answered && self.pulse.failures.load(Ordering::Relaxed) != 0 {
            self.pulse.failures.store(0, Ordering::Relaxed);
        }
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
            pulse.sent().answered();
        }
        assert!((1..FAILURES).all(|_| !pulse.failed()));
        assert!(pulse.failed() && pulse.failed());
        drop(pulse.sent());
        assert!(pulse.failed(), "one that was given up says nothing");
        pulse.sent().answered();
        assert!(!pulse.failed());
        pulse.on_trial();
        assert!(pulse.failed());
    }

    #[test]
    fn a_request_is_awaited_until_it_is_answered_or_given_up() {
        let pulse = Pulse::default();
        let (first, second, third) = (pulse.sent(), pulse.sent(), pulse.sent());
        assert_eq!((pulse.awaited(), pulse.heads()), (3, 0));
        second.answered();
        assert_eq!((pulse.awaited(), pulse.heads()), (2, 1));
        drop(first);
        third.answered();
        assert_eq!((pulse.awaited(), pulse.heads()), (0, 2));
    }
}
