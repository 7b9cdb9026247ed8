//! How the starts of the serving revision's pods go, and when that amounts to a failed start. Pure.

use std::sync::Arc;
use std::time::Duration;

use runtime::failure::{Failure, Start};
use tokio::time::Instant;

use crate::pods::Pod;

/// A Deployment's condition that was there before the wake may be about the last attempt: for this long it does not
/// count. The controllers clear it within milliseconds of a start that works.
const STALE: Duration = Duration::from_secs(2);

/// One pod's start.
#[derive(Clone, Debug)]
pub struct PodStart {
    /// The pod.
    pub pod: Arc<Pod>,
    /// What it says of its start, and the leader's word on what it does not say.
    pub start: Start,
    /// Since when it says so, by this process's clock.
    pub since: Instant,
}

/// The starts of the serving revision.
#[derive(Clone, Debug, Default)]
pub struct Starts {
    /// Pods that are not being deleted.
    pub pods: Vec<PodStart>,
    /// What the Deployment says: pods that could not even be made.
    pub refused: Option<Failure>,
}

/// How long to wait before bad news counts.
#[derive(Clone, Debug)]
pub struct Patience<'a> {
    /// Unschedulable for this long is a failure; zero = never.
    pub unschedulable: Duration,
    /// What the Deployment said when this wake began, and when that was.
    pub stale: Option<(&'a Failure, Instant)>,
}

impl Starts {
    /// The failure that held callers are told, if the start has failed: every pod has, or there is none and the
    /// Deployment says why. While one pod is ready, or may yet become so, there is no verdict.
    pub fn judge(&self, replicas: i32, now: Instant, patience: &Patience<'_>) -> Option<Failure> {
        if self.pods.is_empty() {
            let refused = self.refused.as_ref().filter(|_| replicas > 0)?;
            let stale = patience.stale.is_some_and(|(old, since)| old == refused && now < since + STALE);
            return (!stale).then(|| refused.clone());
        }
        let mut verdict = None;
        for PodStart { pod, start, since } in &self.pods {
            let failed = match start {
                _ if pod.is_ready() => return None,
                Start::Fine => return None,
                Start::Failed(failure) => failure,
                Start::Unschedulable { failure, .. } => {
                    let patient = patience.unschedulable.is_zero() || now < *since + patience.unschedulable;
                    if patient {
                        return None;
                    }
                    failure
                }
            };
            verdict.get_or_insert_with(|| failed.clone());
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use crds::Reason;

    use super::*;

    const PATIENCE: Patience<'static> = Patience { unschedulable: Duration::from_secs(10), stale: None };

    fn failure(message: &str) -> Failure {
        Failure::new(Reason::CrashLoop, message)
    }

    fn starts(now: Instant, each: Vec<Start>) -> Starts {
        let pods = each.into_iter().enumerate();
        let pods =
            pods.map(|(i, start)| PodStart { pod: Pod::test(&format!("p{i}"), "r1"), start, since: now }).collect();
        Starts { pods, refused: None }
    }

    #[tokio::test]
    async fn every_pod_must_have_failed() {
        let now = Instant::now();
        let failed = || Start::Failed(failure("x"));
        assert_eq!(starts(now, vec![failed(), failed()]).judge(2, now, &PATIENCE), Some(failure("x")));
        assert_eq!(starts(now, vec![failed(), Start::Fine]).judge(2, now, &PATIENCE), None);
        assert_eq!(starts(now, vec![]).judge(2, now, &PATIENCE), None);
        let ready = starts(now, vec![failed()]);
        ready.pods[0].pod.prove_ready(now);
        assert_eq!(ready.judge(1, now, &PATIENCE), None);
    }

    #[tokio::test]
    async fn unschedulable_counts_after_a_while() {
        let now = Instant::now();
        let all = starts(now, vec![Start::Unschedulable { since: None, failure: failure("full") }]);
        assert_eq!(all.judge(1, now + Duration::from_secs(9), &PATIENCE), None);
        assert_eq!(all.judge(1, now + Duration::from_secs(10), &PATIENCE), Some(failure("full")));
        let never = Patience { unschedulable: Duration::ZERO, stale: None };
        assert_eq!(all.judge(1, now + Duration::from_secs(100), &never), None);
    }

    #[tokio::test]
    async fn an_old_refusal_does_not_fail_a_new_attempt() {
        let now = Instant::now();
        let refused = failure("quota");
        let all = Starts { pods: vec![], refused: Some(refused.clone()) };
        let stale = Patience { stale: Some((&refused, now)), ..PATIENCE };
        assert_eq!(all.judge(1, now + Duration::from_secs(1), &stale), None);
        assert_eq!(all.judge(1, now + Duration::from_secs(2), &stale), Some(refused.clone()));
        assert_eq!(all.judge(1, now, &PATIENCE), Some(refused.clone()));
        assert_eq!(all.judge(0, now, &PATIENCE), None, "nothing is wanted");
        let changed = Starts { pods: vec![], refused: Some(failure("other")) };
        assert_eq!(changed.judge(1, now, &stale), Some(failure("other")));
    }
}
