//! What the waker does next. Pure.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::function::Workload;

/// The first write goes out at once; a raise because more requests came not before this long after it, and then at most
/// this often. So a burst costs two writes, and the second one, still well within 50 ms, names the whole need.
const RAISE_AFTER: Duration = Duration::from_millis(20);
/// From the second raise on.
const RAISE_EVERY: Duration = Duration::from_millis(100);
/// How long the watch may take to show a write of ours, where resource versions cannot be compared.
const WATCH_LAG: Duration = Duration::from_secs(1);

/// The last write that the API server took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Of which Deployment. What was written of another revision's says nothing about this one, whose version may be older.
    pub deployment: Arc<str>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `metadata.resourceVersion` of the answer, if it is a number.
    pub version: Option<u64>,
    /// When it was sent.
    pub at: Instant,
    /// How many writes there were, this one included.
    pub writes: u32,
}

impl Asked {
    /// Whether the watch may not show it yet.
    pub fn is_pending(&self, watched: &Workload, now: Instant) -> bool {
        match (self.version, watched.version) {
            (Some(ours), Some(seen)) => seen < ours,
            _ => now < self.at + WATCH_LAG,
        }
    }
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Write this number.
    Write(i32),
    /// Nothing before then, unless something changes.
    Wait(Instant),
    /// Nothing unless something changes.
    Rest,
}

/// The next step for a function that needs so many replicas, given the Deployment as watched and the last write.
///
/// The watch decides: as soon as it shows the Deployment at or after our write, and lower than the need, somebody has
/// lowered it, and it is raised again at once.
pub fn step(need: i32, watched: &Workload, asked: Option<&Asked>, now: Instant) -> Step {
    let Some(asked) = asked.filter(|asked| asked.deployment == watched.name) else {
        return if need > watched.replicas { Step::Write(need) } else { Step::Rest };
    };
    let pending = asked.is_pending(watched, now);
    if pending && need <= watched.replicas.max(asked.replicas) {
        // The version says when the watch has caught up; without one, time does.
        return if asked.version.is_some() { Step::Rest } else { Step::Wait(asked.at + WATCH_LAG) };
    }
    if need <= watched.replicas {
        return Step::Rest;
    }
    let lowered = !pending && watched.replicas < asked.replicas;
    let pause = if asked.writes < 2 { RAISE_AFTER } else { RAISE_EVERY };
    if lowered || now >= asked.at + pause { Step::Write(need) } else { Step::Wait(asked.at + pause) }
}

#[cfg(test)]
mod tests {
    use crds::function::Scaling;

    use super::*;
    use crate::function::need;

    fn workload(replicas: i32, version: u64) -> Workload {
        Workload { name: "hello-1".into(), replicas, version: Some(version), readiness: None }
    }

    /// Replicas for so many requests, ten for each and six at most.
    fn of(held: u32) -> i32 {
        let target = Some(10);
        need(&Scaling { target, target_utilization_percent: 100, max_replicas: 6, ..Scaling::default() }, held)
    }

    #[tokio::test]
    async fn straight_to_the_need() {
        let now = Instant::now();
        for (held, replicas, step_) in [
            (1, 0, Step::Write(1)),
            (50, 0, Step::Write(5)),
            (50, 2, Step::Write(5)),
            (50, 5, Step::Rest),
            (50, 7, Step::Rest),
            (1000, 0, Step::Write(6)),
            (0, 0, Step::Rest),
        ] {
            assert_eq!(step(of(held), &workload(replicas, 1), None, now), step_, "{held} held, {replicas} replicas");
        }
    }

    #[tokio::test]
    async fn a_burst_costs_two_writes() {
        let now = Instant::now();
        let first = Asked { deployment: "hello-1".into(), replicas: 1, version: Some(7), at: now, writes: 1 };
        let after = |ms| now + Duration::from_millis(ms);
        assert_eq!(step(of(50), &workload(0, 6), Some(&first), after(5)), Step::Wait(after(20)));
        assert_eq!(step(of(50), &workload(1, 7), Some(&first), after(5)), Step::Wait(after(20)));
        assert_eq!(step(of(50), &workload(0, 6), Some(&first), after(20)), Step::Write(5));
        let second = Asked { deployment: "hello-1".into(), replicas: 5, version: Some(8), at: after(20), writes: 2 };
        assert_eq!(step(of(50), &workload(1, 7), Some(&second), after(31)), Step::Rest);
        assert_eq!(step(of(51), &workload(1, 7), Some(&second), after(31)), Step::Wait(after(120)));
    }

    #[tokio::test]
    async fn a_lowering_is_raised_at_once() {
        let now = Instant::now();
        let asked = Asked { deployment: "hello-1".into(), replicas: 1, version: Some(7), at: now, writes: 1 };
        assert_eq!(step(of(1), &workload(0, 6), Some(&asked), now), Step::Rest, "the watch is behind");
        assert_eq!(step(of(1), &workload(0, 8), Some(&asked), now), Step::Write(1));
    }

    /// The revision before this one was asked for while its successor, which is older than the answer, was not known yet.
    #[tokio::test]
    async fn another_deployment_is_asked_for_anew() {
        let now = Instant::now();
        let asked = Asked { deployment: "hello-0".into(), replicas: 1, version: Some(7), at: now, writes: 1 };
        assert_eq!(step(of(1), &workload(0, 6), Some(&asked), now), Step::Write(1));
        assert_eq!(step(of(1), &workload(1, 6), Some(&asked), now), Step::Rest);
    }

    #[tokio::test]
    async fn without_versions_time_decides() {
        let now = Instant::now();
        let asked = Asked { deployment: "hello-1".into(), replicas: 1, version: None, at: now, writes: 1 };
        assert_eq!(step(of(1), &workload(0, 8), Some(&asked), now), Step::Wait(now + WATCH_LAG));
        assert_eq!(step(of(1), &workload(0, 8), Some(&asked), now + WATCH_LAG), Step::Write(1));
    }
}
