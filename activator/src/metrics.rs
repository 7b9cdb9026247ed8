//! Metrics. Handles are resolved once; labels come from closed enums, and a function's own series end with the function.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::clock;
use crate::hold::Places;
use crate::index::Index;
use crate::path::again::Cause;
use crate::path::call::Answer;
use crate::path::fault::Share;
use crate::path::timing::{Step, Timeline};
use crate::wire::Flood;

/// Seconds: from the leanest warm request to the longest deadline.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What became of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum WakeResult {
    /// Taken.
    Ok,
    /// Not needed: there were more replicas already.
    Already,
    /// Somebody wrote at the same time.
    Conflict,
    /// Refused by the API server.
    Refused,
    /// No answer, or one that passes.
    Error,
}

/// Why a pod is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Ejection {
    /// Requests failed at it one after the other.
    Failures,
    /// It gave no answers while others did.
    Silence,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ejected {
    reason: Ejection,
}

/// What became of a request that might be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RetryOutcome {
    /// It was.
    Sent,
    /// It had been sent often enough.
    Limit,
    /// Its function's budget was used up.
    Budget,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Class {
    Informational,
    Success,
    Redirect,
    ClientError,
    ServerError,
}

impl Class {
    const fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Origin {
    Function,
    Activator,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    class: Class,
    cold: bool,
    origin: Origin,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fault {
    fault: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Phase {
    phase: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Woken {
    result: WakeResult,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Retry {
    cause: &'static str,
    outcome: RetryOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Full {
    share: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Closed {
    cause: &'static str,
}

/// Everything this process counts as it happens.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Request, Counter>,
    warm: [Counter; 2],
    faults: Family<Fault, Counter>,
    first_byte: Histogram,
    cold_start: Family<Phase, Histogram>,
    wakes: Family<Woken, Counter>,
    overflows: Family<Full, Counter>,
    client_gone: Counter,
    retries: Family<Retry, Counter>,
    unreachable: Counter,
    closed: Family<Closed, Counter>,
    ejections: Family<Ejected, Counter>,
}

impl Metrics {
    /// Registers everything.
    pub fn new(registry: &mut Registry) -> Arc<Self> {
        let requests = Family::<Request, Counter>::default();
        let warm = [Class::Success, Class::Redirect]
            .map(|class| requests.get_or_create(&Request { class, cold: false, origin: Origin::Function }).clone());
        let metrics = Self {
            requests,
            warm,
            faults: Family::default(),
            first_byte: Histogram::new(BUCKETS),
            cold_start: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            wakes: Family::default(),
            overflows: Family::default(),
            client_gone: Counter::default(),
            retries: Family::default(),
            unreachable: Counter::default(),
            closed: Family::default(),
            ejections: Family::default(),
        };
        let registry = registry.sub_registry_with_prefix("rouse_activator");
        registry.register(
            "requests",
            "Responses, by class, whether they waited for a start, and who answered",
            metrics.requests.clone(),
        );
        registry.register("faults", "Requests not answered by their function, by cause", metrics.faults.clone());
        registry.register(
            "first_byte_seconds",
            "From a request's head to its response's head",
            metrics.first_byte.clone(),
        );
        registry.register(
            "cold_start_seconds",
            "Phases of held requests that waited for a start",
            metrics.cold_start.clone(),
        );
        registry.register("wakes", "Patches of /scale, by result", metrics.wakes.clone());
        registry.register(
            "queue_overflows",
            "Requests refused as a queue was full, by whose share",
            metrics.overflows.clone(),
        );
        registry.register(
            "client_gone",
            "Requests whose caller went away before the response",
            metrics.client_gone.clone(),
        );
        registry.register(
            "retries",
            "Requests that got no answer from a pod and might go out again, by cause, and whether they did",
            metrics.retries.clone(),
        );
        registry.register(
            "unreachable_pods",
            "Times a pod that was ready could not be reached",
            metrics.unreachable.clone(),
        );
        registry.register(
            "connections_closed",
            "Connections of callers closed for what the caller did, by cause",
            metrics.closed.clone(),
        );
        registry.register(
            "ejections",
            "Times a pod that was ready was left alone for a while, by reason",
            metrics.ejections.clone(),
        );
        Arc::new(metrics)
    }

    /// A response's head went out.
    pub fn answered(&self, answer: &Answer, took: Duration) {
        self.first_byte.observe(took.as_secs_f64());
        let status = answer.response.status().as_u16();
        if let Some(failure) = &answer.failure {
            self.faults.get_or_create(&Fault { fault: failure.fault.slug() }).inc();
        } else if !answer.cold && matches!(status, 200..=399) {
            // By far the most frequent ones, without a look at the family.
            self.warm[usize::from(status >= 300)].inc();
            return;
        }
        let origin = if answer.failure.is_some() { Origin::Activator } else { Origin::Function };
        let status = answer.failure.as_ref().map_or(status, |failure| failure.fault.status().as_u16());
        self.requests.get_or_create(&Request { class: Class::of(status), cold: answer.cold, origin }).inc();
    }

    /// The caller went away before that.
    pub fn client_gone(&self) {
        self.client_gone.inc();
    }

    /// A held request was answered.
    pub fn held(&self, timeline: &Timeline, cold: bool) {
        if !cold {
            return;
        }
        self.cold_start.get_or_create(&Phase { phase: "total" }).observe(timeline.total.as_secs_f64());
        for step in Step::ALL {
            let phase = self.cold_start.get_or_create(&Phase { phase: step.as_str() });
            phase.observe(timeline.phase(step).as_secs_f64());
        }
    }

    /// A wake was answered.
    pub fn wake(&self, result: WakeResult) {
        self.wakes.get_or_create(&Woken { result }).inc();
    }

    /// A request was refused as a share was used up.
    pub fn overflow(&self, share: Share) {
        self.overflows.get_or_create(&Full { share: share.as_str() }).inc();
    }

    /// A request got no answer from a pod, and might look for another.
    pub fn retried(&self, cause: Cause, outcome: RetryOutcome) {
        self.retries.get_or_create(&Retry { cause: cause.as_str(), outcome }).inc();
    }

    /// A pod is left alone.
    pub fn ejected(&self, reason: Ejection) {
        self.ejections.get_or_create(&Ejected { reason }).inc();
    }

    /// A caller flooded its connection.
    pub fn flood(&self, flood: Flood) {
        self.closed.get_or_create(&Closed { cause: flood.as_str() }).inc();
    }

    /// A caller broke so many rules of HTTP/2 that the library closed its connection.
    pub fn abuse(&self) {
        self.closed.get_or_create(&Closed { cause: "abuse" }).inc();
    }

    /// An address has all the connections it may have.
    pub fn crowded(&self) {
        self.closed.get_or_create(&Closed { cause: "peer-share" }).inc();
    }

    /// An upgraded connection was silent for too long.
    pub fn idle_tunnel(&self) {
        self.closed.get_or_create(&Closed { cause: "idle-tunnel" }).inc();
    }

    /// A ready pod could not be reached.
    pub fn unreachable(&self) {
        self.unreachable.inc();
    }
}

/// What is read when somebody asks: levels, and the totals of each function that has had a request.
#[derive(Debug)]
pub struct Levels {
    index: Arc<Index>,
    places: Arc<Places>,
}

impl Levels {
    /// Registers itself.
    pub fn register(registry: &mut Registry, index: &Arc<Index>, places: &Arc<Places>) {
        registry.register_collector(Box::new(Self { index: Arc::clone(index), places: Arc::clone(places) }));
    }
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let held = ConstGauge::new(i64::try_from(self.places.held()).unwrap_or(i64::MAX));
        let about = "Requests held now";
        held.encode(encoder.encode_descriptor("rouse_activator_held_requests", about, None, held.metric_type())?)?;

        let now = clock::now();
        let functions = self.index.functions();
        let of: Vec<_> = functions.iter().map(|function| (&function.key, function.totals.read(now))).collect();
        let used: Vec<_> = of.iter().filter(|(_, totals)| totals.requests > 0).collect();

        let about = "Requests accepted for a function";
        let kind = ConstCounter::new(0u64).metric_type();
        let mut family = encoder.encode_descriptor("rouse_activator_function_requests", about, None, kind)?;
        for (key, totals) in &used {
            let labels = [("namespace", &*key.namespace), ("function", &*key.name)];
            ConstCounter::new(totals.requests).encode(family.encode_family(&labels)?)?;
        }
        let about = "Requests of a function that are held or at a pod now";
        let kind = ConstGauge::new(0i64).metric_type();
        let mut family = encoder.encode_descriptor("rouse_activator_function_present_requests", about, None, kind)?;
        for (key, totals) in &used {
            let labels = [("namespace", &*key.namespace), ("function", &*key.name)];
            let present = i64::try_from(totals.in_flight + totals.held).unwrap_or(i64::MAX);
            ConstGauge::new(present).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
