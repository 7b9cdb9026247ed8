//! Whether a revision's start failed. Pure.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use runtime::failure::{self, Failure, Start};
use tokio::time::Instant;

use super::memory::Remembered;

/// A pod that has not started this long after it was first seen may say why only in Events.
pub const EVENTS_AFTER: Duration = Duration::from_millis(1500);
/// Events of one pod are read at most this often: a failure is known within 2 s of Kubernetes reporting it.
pub const EVENTS_EVERY: Duration = Duration::from_millis(1500);

/// What is known of one revision.
#[derive(Clone, Copy, Debug)]
pub struct Revision<'a> {
    /// Its Deployment.
    pub deployment: Option<&'a Deployment>,
    /// Its pods that are not being deleted.
    pub pods: &'a [&'a Pod],
    /// What is remembered of them.
    pub memory: &'a HashMap<String, Remembered>,
    /// How many of them every activator has proved ready; `None` = not known now.
    pub ready: Option<usize>,
}

/// What is said of a revision's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judgement {
    /// It failed, for this reason.
    pub failed: Option<Failed>,
    /// Look again after this time though nothing changes.
    pub again: Option<Duration>,
    /// UIDs of pods whose Events are to be read now.
    pub read_events: Vec<String>,
}

/// A start that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// The pods that failed.
    pub pod_uids: Vec<String>,
    /// Whether only Events say so.
    pub from_events: bool,
    /// Whether pods were refused for the higher CPU limit of their start.
    pub of_boost: bool,
}

enum PodStart {
    Fine,
    Unschedulable(Failure),
    Failed(Failure, bool),
}

/// Judges a revision. One pod that is ready is enough for a start to have succeeded. Otherwise one pod that failed is
/// enough for it to have failed, except that no node taking a pod counts only if none takes any. While nobody knows which
/// pods are ready, all must have failed.
pub fn revision(view: Revision<'_>, unschedulable: Option<Duration>, now: Instant) -> Judgement {
    let mut out = Judgement::default();
    if view.ready.is_some_and(|ready| ready > 0) {
        return out;
    }
    if view.pods.is_empty() {
        out.failed = view.deployment.filter(|d| wants_pods(d)).and_then(|deployment| {
            let failure = failure::of_deployment(deployment)?;
            let of_boost = failure::is_of_boost(deployment, &failure);
            Some(Failed { failure, pod_uids: Vec::new(), from_events: false, of_boost })
        });
        return out;
    }
    let mut starts = Vec::with_capacity(view.pods.len());
    for pod in view.pods {
        let Some(uid) = pod.metadata.uid.as_deref() else { continue };
        let Some(memory) = view.memory.get(uid) else { continue };
        starts.push((uid, of_pod(pod, uid, memory, unschedulable, now, &mut out)));
    }
    let bad = starts.iter().filter(|(_, start)| !matches!(start, PodStart::Fine)).count();
    let failed = starts.iter().filter(|(_, start)| matches!(start, PodStart::Failed(..))).count();
    let counts = if view.ready.is_none() || failed == 0 { bad == starts.len() && bad > 0 } else { true };
    if !counts {
        return out;
    }
    let mut pod_uids = Vec::new();
    let mut found: Option<(Failure, bool)> = None;
    for (uid, start) in starts {
        let (failure, from_events, firm) = match start {
            PodStart::Fine => continue,
            PodStart::Unschedulable(failure) => (failure, false, false),
            PodStart::Failed(failure, from_events) => (failure, from_events, true),
        };
        pod_uids.push(uid.to_owned());
        // What went wrong inside a pod says more than that another found no node.
        if found.is_none()
            || (firm && failed > 0 && found.as_ref().is_some_and(|f| f.0.reason == crds::Reason::Unschedulable))
        {
            found = Some((failure, from_events));
        }
    }
    pod_uids.sort();
    out.failed = found.map(|(failure, from_events)| Failed { failure, pod_uids, from_events, of_boost: false });
    out
}

fn wants_pods(deployment: &Deployment) -> bool {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1) > 0
}

fn of_pod(
    pod: &Pod,
    uid: &str,
    memory: &Remembered,
    unschedulable: Option<Duration>,
    now: Instant,
    out: &mut Judgement,
) -> PodStart {
    match failure::of_pod(pod, memory.ever_ready) {
        Start::Failed(failure) => PodStart::Failed(failure, false),
        Start::Unschedulable { failure, .. } => {
            let Some(limit) = unschedulable else { return PodStart::Fine };
            let since = memory.unschedulable_since.unwrap_or(now);
            match limit.checked_sub(now.saturating_duration_since(since)).filter(|left| !left.is_zero()) {
                Some(left) => {
                    sooner(&mut out.again, left);
                    PodStart::Fine
                }
                None => PodStart::Unschedulable(failure),
            }
        }
        Start::Fine if is_waiting(pod) => {
            if let Some(failure) = &memory.event {
                return PodStart::Failed(failure.clone(), true);
            }
            let due = memory.events_read.map_or(memory.first_seen + EVENTS_AFTER, |read| read + EVENTS_EVERY);
            if due <= now {
                out.read_events.push(uid.to_owned());
                sooner(&mut out.again, EVENTS_EVERY);
            } else {
                sooner(&mut out.again, due - now);
            }
            PodStart::Fine
        }
        Start::Fine => PodStart::Fine,
    }
}

/// Whether a node has the pod, and neither its volumes and its sandbox are known to be there nor was its container ever
/// made: what may be in the way shows in Events alone.
fn is_waiting(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let is = |kind: &str| status.conditions.iter().flatten().any(|c| c.type_ == kind && c.status == "True");
    let (scheduled, prepared) = (is("PodScheduled"), is("PodReadyToStartContainers"));
    let made = status.container_statuses.iter().flatten().any(|container| {
        let state = container.state.as_ref();
        container.restart_count > 0 || state.is_some_and(|s| s.running.is_some() || s.terminated.is_some())
    });
    scheduled && !prepared && !made
}

/// Keeps the shorter of two waits.
pub fn sooner(kept: &mut Option<Duration>, other: Duration) {
    *kept = Some(kept.map_or(other, |kept| kept.min(other)));
}
