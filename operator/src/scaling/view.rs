//! A Function with its revisions and their pods, as scaling sees them: plain values, read from the stores.

use std::{collections::BTreeSet, time::Duration};

use crds::{
    Function,
    function::{Idle, Metric, Scaling, Schedule},
    labels, revision,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::ResourceExt;
use scale::Settings;

use crate::{
    failure::Verdict,
    stores::{Key, Stores, is_boosted},
};

/// What a revision is to its Function now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Traffic goes there.
    Serving,
    /// The spec asks for it, and it does not serve yet.
    Candidate,
    /// Neither: it goes.
    Retired,
}

/// One revision: a Deployment and its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Name of the revision and of the Deployment.
    pub name: String,
    /// What it is now.
    pub role: Role,
    /// Replicas that are wanted of it.
    pub replicas: i32,
    /// Generation of the Deployment: one more with each change of its spec.
    pub generation: i64,
    /// Resource version of the Deployment.
    pub version: String,
    /// How long a drain waits for requests in flight: the longest request, or the pods' grace period if that is longer.
    pub linger: Duration,
    /// Its start failed, and it has no pod that could be serving.
    pub failed: bool,
    /// UIDs of its pods that stay, ready or not.
    pub pods: BTreeSet<String>,
    /// UIDs of those that Kubernetes calls Ready.
    pub ready: BTreeSet<String>,
    /// UIDs of those that have a deletion cost.
    pub marked: BTreeSet<String>,
    /// UIDs of those whose CPU limit is still the higher one of their start.
    pub boosted: BTreeSet<String>,
    /// UIDs of those that were given their own limit, which their node does not put in force.
    pub stuck: BTreeSet<String>,
    /// UIDs of its pods that are being deleted.
    pub leaving: BTreeSet<String>,
    /// So many more pods than these does Kubernetes count, as the Deployment's status says: the watch of the pods lags.
    pub hidden: usize,
}

impl Revision {
    /// Whether it has exactly the pods that are wanted of it, all of them Ready.
    pub fn is_whole(&self) -> bool {
        usize::try_from(self.replicas).is_ok_and(|replicas| replicas == self.pods.len())
            && self.pods.is_subset(&self.ready)
    }
}

/// One Function.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Namespace and name.
    pub key: Key,
    /// Its UID.
    pub uid: String,
    /// So many replicas whatever the load is: what was set by hand, 0 while paused. `None`: the load decides.
    pub fixed: Option<i32>,
    /// The idle window is learnt.
    pub adaptive: bool,
    /// What the spec says of its size.
    pub settings: Settings,
    /// Its revisions, in order of their names.
    pub revisions: Vec<Revision>,
}

impl View {
    /// Reads the Function's state from the stores. `None`: it does not exist, or is being deleted, and then nothing is
    /// decided about it. `verdict`: of a revision (UID of the Function, name); `ready`: whether any activator has one of
    /// the pods (UIDs) for ready; `scheduled`: replicas that schedules ask for now.
    pub fn read(
        stores: &Stores,
        key: &Key,
        verdict: impl Fn(&str, &str) -> Option<Verdict>,
        ready: impl Fn(&BTreeSet<String>) -> bool,
        scheduled: impl FnOnce(&[Schedule]) -> i32,
    ) -> Option<Self> {
        let function = stores.function(key).filter(|function| function.metadata.deletion_timestamp.is_none())?;
        let uid = function.uid()?;
        let pods: Vec<_> = stores.pods.of(key).into_iter().filter(|pod| belongs(&**pod, &uid)).collect();
        let mut revisions: Vec<Revision> = stores
            .deployments
            .of(key)
            .iter()
            .filter(|deployment| belongs(&***deployment, &uid) && deployment.metadata.deletion_timestamp.is_none())
            .filter_map(|deployment| revision_of(&function, deployment, &pods))
            .collect();
        revisions.sort_by(|a, b| a.name.cmp(&b.name));
        for revision in &mut revisions {
            let verdict = verdict(&uid, &revision.name);
            revision.failed = verdict.is_some_and(|verdict| concerns(&verdict, revision, &ready));
        }
        let scaling = &function.spec.scaling;
        let fixed = scaling.fixed();
        let min = scaling.min_replicas.max(scheduled(if fixed.is_none() { &scaling.schedules } else { &[] }));
        let settings = Settings { min, ..settings(scaling) };
        let adaptive = scaling.idle == Idle::Adaptive;
        Some(Self { key: key.clone(), uid, fixed, adaptive, settings, revisions })
    }

    /// Replicas that run without any request.
    pub fn floor(&self) -> i32 {
        self.fixed.unwrap_or(self.settings.min.min(self.settings.max).max(0))
    }

    /// Whether nothing is to run, load or not.
    pub fn is_stopped(&self) -> bool {
        self.fixed == Some(0)
    }

    /// The revision that serves.
    pub fn serving(&self) -> Option<&Revision> {
        self.revisions.iter().find(|revision| revision.role == Role::Serving)
    }
}

/// Whether a verdict is about the revision as it is. A candidate gets no traffic, so it may fail as a whole with some of
/// its pods ready, and stays at zero for as long as its verdict stands. Of others every pod must have failed: requests may
/// wait for one that is still starting, and whoever holds them would only start it anew.
fn concerns(verdict: &Verdict, revision: &Revision, ready: impl Fn(&BTreeSet<String>) -> bool) -> bool {
    let about = |pods: &BTreeSet<String>| {
        verdict.pod_uids.is_empty() || (!pods.is_empty() && pods.iter().all(|pod| verdict.pod_uids.contains(pod)))
    };
    revision.role == Role::Candidate || (about(&revision.pods) && !ready(&revision.pods))
}

fn belongs(object: &impl ResourceExt, uid: &str) -> bool {
    object.labels().get(labels::FUNCTION_UID).is_some_and(|of| of == uid)
}

fn revision_of(function: &Function, deployment: &Deployment, pods: &[std::sync::Arc<Pod>]) -> Option<Revision> {
    let name = deployment.name_any();
    if deployment.labels().get(labels::REVISION) != Some(&name) {
        return None;
    }
    let serving = function.status.as_ref().map(|status| status.revision.as_str()).unwrap_or_default();
    let role = if name == serving {
        Role::Serving
    } else if name == revision::name(&function.name_any(), &function.spec) {
        Role::Candidate
    } else {
        Role::Retired
    };
    let spec = deployment.spec.as_ref()?;
    let grace = spec.template.spec.as_ref().and_then(|pod| pod.termination_grace_period_seconds).unwrap_or_default();
    let grace = Duration::from_secs(grace.max(0).unsigned_abs());
    let mut revision = Revision {
        role,
        replicas: spec.replicas.unwrap_or(1),
        generation: deployment.metadata.generation.unwrap_or_default(),
        version: deployment.resource_version()?,
        linger: grace.max(seconds(function.spec.timeouts.request_seconds)),
        failed: false,
        pods: BTreeSet::new(),
        ready: BTreeSet::new(),
        marked: BTreeSet::new(),
        boosted: BTreeSet::new(),
        stuck: BTreeSet::new(),
        leaving: BTreeSet::new(),
        hidden: 0,
        name,
    };
    for pod in pods.iter().filter(|pod| pod.labels().get(labels::REVISION) == Some(&revision.name)) {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let Some(uid) = pod.uid().filter(|_| !matches!(phase, "Succeeded" | "Failed")) else { continue };
        if pod.metadata.deletion_timestamp.is_some() {
            revision.leaving.insert(uid);
            continue;
        }
        if is_ready(pod) {
            revision.ready.insert(uid.clone());
        }
        if pod.annotations().contains_key(labels::POD_DELETION_COST) {
            revision.marked.insert(uid.clone());
        }
        if is_boosted(pod) {
            revision.boosted.insert(uid.clone());
        }
        if pod.annotations().contains_key(labels::CPU_LIMIT) && is_stuck(pod) {
            revision.stuck.insert(uid.clone());
        }
        revision.pods.insert(uid);
    }
    // Kubernetes, too, counts no pod that has ended or is being deleted (`FilterActivePods`).
    let counted = deployment.status.as_ref().and_then(|status| status.replicas).unwrap_or_default();
    revision.hidden = usize::try_from(counted).unwrap_or_default().saturating_sub(revision.pods.len());
    Some(revision)
}

/// Whether Kubernetes calls a pod Ready.
pub(super) fn is_ready(pod: &Pod) -> bool {
    holds(pod, "Ready")
}

/// Whether its node refuses a resize, for good (`Infeasible`) or for now (`Deferred`), KEP-1287.
fn is_stuck(pod: &Pod) -> bool {
    holds(pod, "PodResizePending")
}

fn holds(pod: &Pod, condition: &str) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|found| found.type_ == condition && found.status == "True")
}

fn settings(scaling: &Scaling) -> Settings {
    Settings {
        metric: match scaling.metric {
            Metric::Concurrency => scale::settings::Metric::Concurrency,
            Metric::RequestsPerSecond => scale::settings::Metric::RequestsPerSecond,
        },
        target: scaling.target.map(f64::from),
        utilization_percent: f64::from(scaling.target_utilization_percent),
        stable_window: seconds(scaling.window_seconds),
        scale_down_delay: seconds(scaling.scale_down_delay_seconds),
        max: scaling.max_replicas,
        ..Settings::default()
    }
}

fn seconds(seconds: i32) -> Duration {
    Duration::from_secs(seconds.max(0).unsigned_abs().into())
}

#[cfg(test)]
mod tests;
