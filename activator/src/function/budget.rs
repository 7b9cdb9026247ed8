//! How many requests of one function may be sent once more: a fifth of those that were answered and ten a second, so that
//! retries help where a pod fails and add next to nothing where all of them do.
//!
//! A fifth of the *answered* ones, as in gRPC's retry throttling: of requests that fail a fifth more would make 1.2 attempts
//! each, and the ten a second would come on top. It is one budget a function and not one a process: no function can use up
//! what another one would need, and the share is one of its own requests.
//!
//! Nothing is counted here while requests are answered. Whoever asks brings the function's totals along.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// One retry, in the unit of a debt.
const RETRY: u64 = 1_000_000;
/// What an answered request pays back: a fifth of a retry.
const ANSWERED: u64 = RETRY / 5;
/// What a microsecond pays back: ten retries a second.
const MICROSECOND: u64 = 10 * RETRY / 1_000_000;
/// Retries that may be owed in any case: ten seconds' worth.
const LEAST: u64 = 100;

/// The budget of one function.
#[derive(Debug, Default)]
pub struct Budget {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Retries that have not been paid back.
    debt: u64,
    /// Times that somebody asked.
    asked: u64,
    /// The most requests that had been answered, as far as that was paid for.
    answered: u64,
    at: Duration,
}

impl Budget {
    /// Whether a request that got no answer may be sent again. `requests` the function has had so far, `present` ones have
    /// not ended. As many may be owed as are present, at least [`LEAST`]: that is what a pod can take with it at most.
    pub fn ask(&self, requests: u64, present: u64, now: Duration) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.asked += 1;
        let answered = requests.saturating_sub(present).saturating_sub(state.asked);
        let micros = u64::try_from(now.saturating_sub(state.at).as_micros()).unwrap_or(u64::MAX);
        let earned = answered.saturating_sub(state.answered).saturating_mul(ANSWERED);
        state.debt = state.debt.saturating_sub(earned).saturating_sub(micros.saturating_mul(MICROSECOND));
        state.answered = state.answered.max(answered);
        state.at = state.at.max(now);
        let most = present.max(LEAST).saturating_mul(RETRY);
        let granted = state.debt.saturating_add(RETRY) <= most;
        if granted {
            state.debt += RETRY;
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Retries of a function of which no request is answered, `rate` a second for so many seconds, each of which takes
    /// `millis`. Retries fail too, and ask again.
    fn storm(budget: &Budget, before: u64, rate: u64, seconds: u64, millis: u64) -> u64 {
        let present = (rate * millis / 1000).max(1);
        let mut retries = 0;
        for number in 0..rate * seconds {
            let now = Duration::from_secs(1000) + Duration::from_micros(number * 1_000_000 / rate);
            let asks = 1 + u64::from(budget.ask(before + number + present, present, now));
            for _ in 1..asks {
                retries += 1;
                budget.ask(before + number + present, present, now).then(|| retries += 1);
            }
        }
        retries
    }

    #[test]
    fn a_pod_that_goes_takes_nothing_that_could_be_sent_again() {
        let budget = Budget::default();
        let now = Duration::from_secs(1);
        assert!((0..500).all(|_| budget.ask(10_000, 500, now)), "as many as are present");
        assert!(!budget.ask(10_000, 500, now));
        assert!(!budget.ask(10_000, 0, now));
        // 500 owed; 100 may be.
        assert!(!budget.ask(10_000, 0, now + Duration::from_secs(40)));
        assert!(budget.ask(10_000, 0, now + Duration::from_millis(40_100)));
    }

    #[test]
    fn a_fifth_of_what_is_answered_is_paid_back() {
        let budget = Budget::default();
        let now = Duration::ZERO;
        assert_eq!((0..200).filter(|_| budget.ask(200, 0, now)).count(), 100);
        assert!(!budget.ask(400, 0, now), "whoever asked was not answered");
        // 250 more, of which the first of these asks is one and those before it are 201.
        assert_eq!((0..50).filter(|_| budget.ask(451, 0, now)).count(), 10);
    }

    #[test]
    fn a_storm_of_a_minute_makes_a_fifth_more_attempts_at_most() {
        for rate in [60, 100, 300, 1000, 5000] {
            for millis in [1, 100, 1000] {
                let retries = storm(&Budget::default(), 1_000_000, rate, 60, millis);
                assert!(retries * 5 <= rate * 60, "{retries} retries of {} requests of {millis} ms", rate * 60);
                assert!(retries >= 600, "{retries} retries");
            }
        }
    }

    proptest! {
        /// However many ask, whenever and whatever was answered: never more than the formula says.
        #[test]
        fn never_more_than_the_budget(steps in proptest::collection::vec((0u64..50, 0u64..200, 0u64..500, 1u64..100), 1..100)) {
            let budget = Budget::default();
            let (mut now, mut requests, mut retries, mut peak) = (Duration::ZERO, 0, 0, 0);
            for (answered, millis, present, asks) in steps {
                now += Duration::from_millis(millis);
                requests += answered;
                peak = peak.max(present);
                retries += (0..asks).filter(|_| budget.ask(requests + present, present, now)).count() as u64;
                let most = LEAST.max(peak) as f64 + requests as f64 / 5.0 + now.as_secs_f64() * 10.0;
                prop_assert!(retries as f64 <= most + 1e-6);
            }
        }
    }
}
