//! Everything that belongs to one Function.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use runtime::failure::{Failure, Start};
use tokio::time::Instant;

use crate::function::starts::PodStart;
use crate::function::{Function, Starts, Workload};
use crate::pods::{Pod, Target};

/// What belongs to one Function, by its UID.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) function: Option<Arc<Function>>,
    /// By the pod's UID.
    pub(super) pods: BTreeMap<Arc<str>, PodRecord>,
    /// By the revision's name.
    pub(super) deployments: HashMap<Arc<str>, DeploymentRecord>,
    pub(super) drain: Option<Drain>,
    /// What the leader says of starts, by the pod's UID.
    pub(super) failures: HashMap<Arc<str>, Failure>,
}

/// One pod.
#[derive(Debug)]
pub(super) struct PodRecord {
    pub(super) pod: Arc<Pod>,
    /// `metadata.creationTimestamp`, in seconds.
    pub(super) created: i64,
    pub(super) start: Start,
    /// Since when `start` is what it is.
    pub(super) since: Instant,
    /// Where it says that it listens. Whether it has that address depends on who else shows it.
    pub(super) target: Option<Target>,
    /// Whether its probe runs.
    pub(super) probed: bool,
}

/// One Deployment.
#[derive(Clone, Debug)]
pub(super) struct DeploymentRecord {
    pub(super) workload: Arc<Workload>,
    pub(super) refused: Option<Failure>,
}

/// An order of the leader.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) epoch: u64,
    /// Of the orders that said so last, by the leader's clock.
    pub(super) issued_ms: u64,
    pub(super) order: u64,
    pub(super) pods: HashSet<Arc<str>>,
    pub(super) until: Instant,
    /// The pods were taken back before the order's end, as requests had to wait for them.
    pub(super) void: bool,
}

impl Drain {
    /// Whether the pod takes nothing new.
    pub(super) fn covers(&self, pod_uid: &str) -> bool {
        !self.void && self.pods.contains(pod_uid)
    }
}

impl Entry {
    pub(super) fn is_empty(&self) -> bool {
        self.function.is_none() && self.pods.is_empty() && self.deployments.is_empty() && self.drain.is_none()
    }

    /// Works out what the request path reads, and lets waiting requests go on if there is reason to.
    pub(super) fn refresh(&self) {
        let Some(function) = &self.function else { return };
        let revision = Arc::clone(&function.spec.load().revision);
        let mut live: Vec<&PodRecord> = self
            .pods
            .values()
            .filter(|record| record.pod.revision == revision && !record.pod.leaving.is_cancelled())
            .collect();
        live.sort_by_key(|record| record.created);

        let serving: Vec<Arc<Pod>> = live.iter().map(|record| Arc::clone(&record.pod)).collect();
        let same =
            |a: &[Arc<Pod>], b: &[Arc<Pod>]| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| Arc::ptr_eq(a, b));
        if !same(&serving, &function.serving.load()) {
            function.serving.store(Arc::new(serving));
        }
        let deployment = self.deployments.get(&revision);
        function.workload.store(deployment.map(|record| Arc::clone(&record.workload)));
        let pods = live.iter().map(|record| self.start_of(record)).collect();
        let refused = deployment.and_then(|record| record.refused.clone());
        function.starts.store(Arc::new(Starts { pods, refused }));

        function.release();
        function.gate.changed.notify_one();
    }

    fn start_of(&self, record: &PodRecord) -> PodStart {
        // The leader's word is for what a pod does not say itself, and shorter.
        let start = match (&record.start, self.failures.get(&record.pod.uid)) {
            (Start::Failed(_), _) | (_, None) => record.start.clone(),
            (_, Some(failure)) => Start::Failed(failure.clone()),
        };
        PodStart { pod: Arc::clone(&record.pod), start, since: record.since }
    }
}
