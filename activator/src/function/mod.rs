//! A Function as the activator sees it: what the request path reads of its spec, its pods, its queue and its totals.

pub mod budget;
pub mod drain;
mod ejection;
pub mod spec;
pub mod starts;
pub mod totals;

use std::fmt;
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::time::Instant;

pub use budget::Budget;
pub use drain::Drain;
pub use spec::{Spec, need};
pub use starts::Starts;
pub use totals::Totals;

use crate::hold::gate::Gate;
use crate::metrics::Record;
use crate::path::fault::Fault;
use crate::pods::Pod;
use crate::wake::WakeLog;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

impl Key {
    /// Of these parts.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Deployment of the serving revision, as watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Name of the Deployment.
    pub name: Arc<str>,
    /// `spec.replicas`.
    pub replicas: i32,
    /// `metadata.resourceVersion` as a number, where it is one: newer is greater (KEP-5504).
    pub version: Option<u64>,
    /// Path that proves its pods ready, if it says so; see [`Function::readiness`].
    pub readiness: Option<Arc<str>>,
}

/// One Function, from its first sight to its deletion. A Function that is deleted and created again is another one: its
/// UID differs. Everything in it can be read and changed by many at once.
#[derive(Debug)]
pub struct Function {
    /// Namespace and name.
    pub key: Key,
    /// UID of the Function.
    pub uid: Arc<str>,
    /// What the request path reads of its spec and status. Replaced on a change.
    pub spec: ArcSwap<Spec>,
    /// Pods of the serving revision that are not being deleted, oldest first. Replaced on a change.
    pub serving: ArcSwap<Vec<Arc<Pod>>>,
    /// The serving revision's Deployment, once seen.
    pub workload: ArcSwapOption<Workload>,
    /// How the starts of the serving revision's pods go. Replaced on a change.
    pub starts: ArcSwap<Starts>,
    /// Held requests.
    pub gate: Gate,
    /// Requests so far.
    pub totals: Totals,
    /// When the last wake was sent and answered, and how long starts take.
    pub wakes: WakeLog,
    /// How fast the pods answer.
    pub drain: Drain,
    /// How many requests may be sent once more.
    pub retries: Budget,
    /// Held while it is decided whether a pod is left alone.
    ejecting: Mutex<()>,
    /// What is counted for the metrics.
    pub record: Record,
}

impl Function {
    /// A function without pods.
    pub fn new(key: Key, uid: Arc<str>, spec: Spec) -> Arc<Self> {
        Arc::new(Self {
            key,
            uid,
            spec: ArcSwap::from_pointee(spec),
            serving: ArcSwap::from_pointee(Vec::new()),
            workload: ArcSwapOption::empty(),
            starts: ArcSwap::from_pointee(Starts::default()),
            gate: Gate::default(),
            totals: Totals::default(),
            wakes: WakeLog::default(),
            drain: Drain::default(),
            retries: Budget::default(),
            ejecting: Mutex::default(),
            record: Record::default(),
        })
    }

    /// The path that proves a pod of this revision ready; empty = a TCP connection. The spec's is that of the revision it
    /// asks for: while another one serves on, its Deployment has the path it came with.
    pub fn readiness(&self, revision: &str) -> Arc<str> {
        let spec = self.spec.load();
        let workload = self.workload.load();
        let own = workload.as_ref().filter(|workload| *workload.name == *revision && *spec.wanted != *revision);
        Arc::clone(own.and_then(|workload| workload.readiness.as_ref()).unwrap_or(&spec.readiness))
    }

    /// Whether a pod of the serving revision is proved ready, drained, left alone or neither.
    pub fn any_ready(&self) -> bool {
        self.serving.load().iter().any(|pod| pod.is_ready() || pod.is_ejected())
    }

    /// Whether every ready pod is drained, and there is one: only the leader's order keeps a held request waiting.
    pub fn all_drained(&self) -> bool {
        let serving = self.serving.load();
        let mut ready = serving.iter().filter(|pod| pod.is_ready()).peekable();
        ready.peek().is_some() && ready.all(|pod| pod.slots.read().drained)
    }

    /// Requests that wait for a response's head, here or at pods.
    pub fn waiting(&self) -> u64 {
        let at_pods: u64 = self.serving.load().iter().map(|pod| pod.pulse.awaited()).sum();
        at_pods + self.gate.held() as u64
    }

    /// Looks whether the last wake has made a pod ready, and how long that took; to be called once in a while.
    pub fn look_at_start(&self) {
        self.wakes.look(self.serving.load().iter().filter_map(|pod| pod.seen().ready));
    }

    /// Looks how fast the pods answer, and whether they could do more; to be called once in a while.
    pub fn look_at_drain(&self, now: Instant) {
        let serving = self.serving.load();
        let ready = serving.iter().filter(|pod| pod.is_ready()).count() as u64;
        let heads = serving.iter().map(|pod| pod.pulse.heads()).sum();
        let busy = ready > 0 && self.waiting() >= ready.saturating_mul(self.spec.load().share().into());
        self.drain.look(now, heads, busy);
    }

    /// The answer to a request that no pod is left for and that wakes none; see [`Spec::refusal`]. Pods that are all drained
    /// then are on their way out: who is let in once more keeps them from going.
    pub fn refusal(&self) -> Option<Fault> {
        self.spec.load().refusal(&self.key).filter(|_| !self.any_ready() || self.all_drained())
    }

    /// What a held request waits for, in the words of a public message.
    pub fn waiting_for(&self) -> &'static str {
        if self.spec.load().revision.is_empty() {
            return "the function is not set up yet";
        }
        match self.workload.load().as_ref() {
            None => "the function is not set up yet",
            Some(workload) if workload.replicas < 1 => "the function is not woken yet",
            Some(_) if self.serving.load().is_empty() => "no replica exists yet",
            Some(_) if self.serving.load().iter().all(|pod| pod.seen().address.is_none()) => {
                "no replica has been started by its node yet"
            }
            Some(_) if !self.any_ready() => "no replica answers yet",
            Some(_) => "every replica is busy",
        }
    }

    /// The verdict on the start as of `now`, if it has failed. See [`Starts::judge`].
    pub fn failed(&self, now: Instant, limits: &starts::Patience<'_>) -> Option<runtime::failure::Failure> {
        let replicas = self.workload.load().as_ref().map_or(0, |workload| workload.replicas);
        self.starts.load().judge(replicas, now, limits)
    }
}
