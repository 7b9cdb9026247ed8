//! A request that got no answer from a pod: whether it may go out again, and where.
//!
//! It may if no byte of it reached the pod's application, or if it is idempotent and its body, if it has one, was kept. It
//! goes to a pod where it has not been, if there is one that takes it. Each further sending is granted by the function's
//! [budget](crate::function::Budget): a function of which every pod fails would else be sent everything several times. Free
//! of it is only what a pod took with it that was known to go, which happens once to each.

use std::sync::Arc;

use super::call::Call;
use super::fault::{Failure, Fault, Phase};
use crate::clock;
use crate::metrics::{Metrics, RetryOutcome};
use crate::pods::Pod;

/// Pods that one request may go to in vain before it is given up.
const ATTEMPTS: u32 = 10;
/// Times that one request is sent again after a pod may have had it: one that brings pods down must not go to each.
const REPEATS: u32 = 2;

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The pod has left its address. The index knows that already.
    Gone,
    /// No byte of the request reached the pod's application.
    Unsent,
    /// A connection that had been used before broke: the pod may have closed it as the request was sent.
    Stale,
    /// A connection that was opened for the request, or for others at the same moment, broke.
    Lost,
}

impl Cause {
    /// As it stands in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Unsent => "unsent",
            Self::Stale => "stale",
            Self::Lost => "lost",
        }
    }
}

/// A request that may look for another pod.
#[derive(Debug)]
pub struct Again {
    /// The request, as it was before it was sent.
    pub call: Box<Call>,
    /// Where it was in vain.
    pub pod: Arc<Pod>,
    /// Why.
    pub cause: Cause,
    /// What it is answered with if it is not sent again.
    pub fault: Fault,
}

/// What is remembered of a request between its sendings. Takes no memory before the second.
#[derive(Debug, Default)]
pub struct Tries {
    attempts: u32,
    repeats: u32,
    /// Pods where it was in vain.
    avoid: Vec<Arc<Pod>>,
}

impl Tries {
    /// Whether it goes out once more.
    ///
    /// # Errors
    /// The answer if it does not.
    pub fn again(&mut self, again: Again, metrics: &Metrics) -> Result<Box<Call>, Box<Failure>> {
        let Again { call, pod, cause, fault } = again;
        let outcome = self.decide(cause, || {
            let now = clock::now();
            let totals = call.function.totals.read(now);
            call.function.retries.ask(totals.requests, totals.in_flight + totals.held, now)
        });
        metrics.retried(&call.function, cause, outcome);
        match outcome {
            RetryOutcome::Sent => {
                if cause != Cause::Gone {
                    self.avoid.push(pod);
                }
                Ok(call)
            }
            RetryOutcome::Limit | RetryOutcome::Budget => Err(call.failure(fault, Phase::Forward, false)),
        }
    }

    fn decide(&mut self, cause: Cause, budget: impl FnOnce() -> bool) -> RetryOutcome {
        self.attempts += 1;
        self.repeats += u32::from(matches!(cause, Cause::Stale | Cause::Lost));
        if self.attempts >= ATTEMPTS || self.repeats > REPEATS {
            RetryOutcome::Limit
        } else if cause == Cause::Gone || budget() {
            RetryOutcome::Sent
        } else {
            RetryOutcome::Budget
        }
    }

    /// Whether it has not been sent yet.
    pub fn is_first(&self) -> bool {
        self.attempts == 0
    }

    /// Whether it has not been at this pod.
    pub fn is_new(&self, pod: &Pod) -> bool {
        !self.avoid.iter().any(|own| *own.uid == *pod.uid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_not_sent_for_ever() {
        use Cause::{Gone, Lost, Stale, Unsent};
        use RetryOutcome::{Budget, Limit, Sent};
        let table: [(&[Cause], bool, RetryOutcome); 8] = [
            (&[Lost], true, Sent),
            (&[Lost], false, Budget),
            (&[Stale, Lost], true, Sent),
            (&[Stale, Lost, Lost], true, Limit),
            (&[Unsent; 9], true, Sent),
            (&[Unsent; 10], true, Limit),
            (&[Gone; 9], false, Sent),
            (&[Gone; 10], true, Limit),
        ];
        for (causes, budget, wanted) in table {
            let mut tries = Tries::default();
            let last = causes.iter().map(|cause| tries.decide(*cause, || budget)).last();
            assert_eq!(last, Some(wanted), "{causes:?}");
        }
    }

    #[test]
    fn only_a_further_sending_costs() {
        let mut tries = Tries::default();
        assert_eq!(tries.decide(Cause::Gone, || panic!("asked")), RetryOutcome::Sent);
        tries.repeats = REPEATS;
        assert_eq!(tries.decide(Cause::Lost, || panic!("asked")), RetryOutcome::Limit);
    }
}
