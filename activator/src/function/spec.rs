//! What the request path reads of a Function's spec and status.

use std::sync::Arc;
use std::time::Duration;

use crds::function::{Metric, Mode, Protocol, Scaling};
use scale::Goal;

use super::Key;
use crate::path::fault::Fault;

/// What the request path reads of a Function's spec and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Name of the serving revision and its Deployment; empty = not set up yet.
    pub revision: Arc<str>,
    /// Name of the revision that the spec asks for: the serving one, or the one that is to take over.
    pub wanted: Arc<str>,
    /// Limits and goal of replicas.
    pub scaling: Scaling,
    /// Requests that may wait here.
    pub queue: usize,
    /// From arrival to being sent to a pod.
    pub cold_start: Duration,
    /// From being sent to a pod to the end of the response body.
    pub request: Duration,
    /// From being sent to a pod to the response's head; `None` = no limit of its own.
    pub first_byte: Option<Duration>,
    /// Port, where a pod does not name it.
    pub port: u16,
    /// Protocol, where a pod does not name it.
    pub protocol: Protocol,
    /// Path that proves a pod of the wanted revision ready; empty = a TCP connection. See [`super::Function::readiness`].
    pub readiness: Arc<str>,
    /// Whether callers may read what went wrong inside.
    pub debug: bool,
}

impl Spec {
    /// Reads a Function. Values outside the schema's bounds are taken to the nearest bound.
    pub fn of(function: &crds::Function) -> Self {
        let spec = &function.spec;
        Self {
            revision: function.status.as_ref().map_or("", |status| status.revision.as_str()).into(),
            wanted: crds::revision::name(function.metadata.name.as_deref().unwrap_or_default(), spec).into(),
            scaling: spec.scaling.clone(),
            queue: usize::try_from(spec.queue.max_requests).unwrap_or(0),
            cold_start: seconds(spec.timeouts.cold_start_seconds),
            request: seconds(spec.timeouts.request_seconds),
            first_byte: (spec.timeouts.first_byte_seconds > 0).then(|| seconds(spec.timeouts.first_byte_seconds)),
            port: u16::try_from(spec.port).unwrap_or(crds::names::ACTIVATOR_PORT),
            protocol: spec.protocol,
            readiness: spec.readiness.path.as_str().into(),
            debug: spec.debug,
        }
    }

    /// The answer to requests for which no pod is left, where the function is to have none and no request wakes it.
    pub fn refusal(&self, key: &Key) -> Option<Fault> {
        match self.scaling.mode {
            Mode::Paused => Some(Fault::Paused),
            Mode::Manual if self.scaling.replicas < 1 => Some(Fault::ScaledToZeroByHand(key.clone())),
            Mode::Auto | Mode::Manual => None,
        }
    }

    /// Held requests that may be at one pod before its first answers: the goal of one replica, at least one.
    pub fn share(&self) -> u32 {
        // It is at most 10,000 (schema), so the cast is exact.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let share = goal(&self.scaling).goal.ceil() as u32;
        share.max(1)
    }
}

/// Replicas that `requests` at once need where the load decides: at least 1 while there is any, never above
/// `maxReplicas`. The operator's leader counts with the same goal.
pub fn need(scaling: &Scaling, requests: u32) -> i32 {
    if requests == 0 {
        return 0;
    }
    goal(scaling).replicas(requests.into()).clamp(1, scaling.max_replicas.max(1))
}

fn goal(scaling: &Scaling) -> Goal {
    let metric = match scaling.metric {
        Metric::Concurrency => scale::settings::Metric::Concurrency,
        Metric::RequestsPerSecond => scale::settings::Metric::RequestsPerSecond,
    };
    Goal::of_wake(metric, scaling.target.map(f64::from), 0, scaling.target_utilization_percent.into())
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
}

#[cfg(test)]
impl Spec {
    /// Revision `r1`, the schema's defaults, short deadlines.
    pub fn test() -> Self {
        Self {
            revision: "r1".into(),
            wanted: "r1".into(),
            scaling: Scaling::default(),
            queue: 1000,
            cold_start: Duration::from_secs(5),
            request: Duration::from_secs(5),
            first_byte: None,
            port: 8080,
            protocol: Protocol::HTTP1,
            readiness: "".into(),
            debug: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn need_is_the_held_requests_over_the_goal() {
        let of = |metric, target, percent, max| Scaling {
            metric,
            target: Some(target),
            target_utilization_percent: percent,
            max_replicas: max,
            ..Scaling::default()
        };
        let at_once = |target, percent, max| of(Metric::Concurrency, target, percent, max);
        let table = [
            (at_once(10, 100, 100), 50, 5),
            (at_once(10, 100, 3), 50, 3),
            (at_once(100, 70, 100), 1, 1),
            (at_once(100, 70, 100), 71, 2),
            (at_once(1, 70, 100), 10, 15),
            (at_once(1, 70, 100), 21, 30),
            (at_once(1, 1, 100), u32::MAX, 100),
            (at_once(10, 100, 100), 0, 0),
            // A target in requests a second says nothing of requests at once: 100 of them are taken for it.
            (of(Metric::RequestsPerSecond, 7, 100, 100), 101, 2),
        ];
        for (scaling, requests, wanted) in table {
            assert_eq!(need(&scaling, requests), wanted, "{requests} requests at {scaling:?}");
        }
    }

    #[test]
    fn a_share_is_the_goal_rounded_up() {
        for (target, percent, share) in [(10, 100, 10), (100, 70, 70), (1, 70, 1), (3, 50, 2)] {
            let mut spec = Spec::test();
            spec.scaling.target = Some(target);
            spec.scaling.target_utilization_percent = percent;
            assert_eq!(spec.share(), share, "{target} × {percent} %");
        }
    }
}
