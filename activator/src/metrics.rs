//! Metrics. Handles are resolved once; labels come from closed enums, and a function's own series end with the function.
//! `docs/metrics.md` has them all, and a test that it does.

mod histogram;
mod levels;
mod series;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::time::Instant;

pub use levels::Levels;
pub use series::{Record, Series};

use crate::function::Function;
use crate::path::again::Cause;
use crate::path::call::Answer;
use crate::path::fault::{Fault, Share};
use crate::path::timing::{Step, Timeline};
use crate::wire::Flood;
use series::Seats;

/// How all names begin.
const PREFIX: &str = "rouse_activator";
/// Functions with series of their own, unless the command line says otherwise.
pub const FUNCTIONS: usize = 1000;
/// Seconds: from a pause in the queue to the longest deadline.
const BUCKETS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];

/// What became of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl WakeResult {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Already => "already",
            Self::Conflict => "conflict",
            Self::Refused => "refused",
            Self::Error => "error",
        }
    }
}

impl EncodeLabelValue for WakeResult {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.as_str().encode(encoder)
    }
}

/// The first digit of a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Informational,
    Success,
    Redirect,
    ClientError,
    ServerError,
}

impl Class {
    const ALL: [Self; 5] = [Self::Informational, Self::Success, Self::Redirect, Self::ClientError, Self::ServerError];

    const fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::ClientError,
            _ => Self::ServerError,
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "1xx",
            Self::Success => "2xx",
            Self::Redirect => "3xx",
            Self::ClientError => "4xx",
            Self::ServerError => "5xx",
        }
    }
}

impl EncodeLabelValue for Class {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        self.as_str().encode(encoder)
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
struct Refusal {
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
    faults: Family<Refusal, Counter>,
    hold_wait: Histogram,
    cold_start: Family<Phase, Histogram>,
    wakes: Family<Woken, Counter>,
    overflows: Family<Full, Counter>,
    client_gone: Counter,
    retries: Family<Retry, Counter>,
    unreachable: Counter,
    closed: Family<Closed, Counter>,
    ejections: Family<Ejected, Counter>,
    untaken: Gauge,
    seats: Arc<Seats>,
}

/// A request in the queue. Dropped, it has left it, by whichever way.
#[derive(Debug)]
pub struct Waiting<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.metrics.hold_wait.observe(self.since.elapsed().as_secs_f64());
    }
}

impl Metrics {
    /// Registers everything, with series for [`FUNCTIONS`].
    pub fn new(registry: &mut Registry) -> Arc<Self> {
        Self::with(registry, FUNCTIONS)
    }

    /// Registers everything, with series for so many functions.
    pub fn with(registry: &mut Registry, functions: usize) -> Arc<Self> {
        let requests = Family::<Request, Counter>::default();
        let warm = [Class::Success, Class::Redirect]
            .map(|class| requests.get_or_create(&Request { class, cold: false, origin: Origin::Function }).clone());
        let metrics = Self {
            requests,
            warm,
            faults: Family::default(),
            hold_wait: Histogram::new(BUCKETS),
            cold_start: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            wakes: Family::default(),
            overflows: Family::default(),
            client_gone: Counter::default(),
            retries: Family::default(),
            unreachable: Counter::default(),
            closed: Family::default(),
            ejections: Family::default(),
            untaken: Gauge::default(),
            seats: Seats::new(functions),
        };
        let registry = registry.sub_registry_with_prefix(PREFIX);
        registry.register(
            "requests",
            "Responses, by class, whether they waited for a start, and who answered",
            metrics.requests.clone(),
        );
        registry.register("faults", "Requests not answered by their function, by cause", metrics.faults.clone());
        registry.register(
            "hold_wait_seconds",
            "Time in the queue, of every request that was held, until it was let go or given up",
            metrics.hold_wait.clone(),
        );
        registry.register(
            "cold_start_seconds",
            "Phases of held requests that waited for a start",
            metrics.cold_start.clone(),
        );
        registry.register("wakes", "Patches of /scale, by result", metrics.wakes.clone());
        registry.register(
            "untaken_bytes",
            "Bytes of answers that wait here for callers over HTTP/2",
            metrics.untaken.clone(),
        );
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

    /// Counts something of a function: of this revision, or of the one that serves.
    fn of(&self, function: &Function, revision: Option<&str>, count: impl FnOnce(&Series)) {
        let serving = || Arc::clone(&function.spec.load().revision);
        match revision {
            Some(revision) => function.record.with(&self.seats, revision, serving, count),
            None => {
                let revision = serving();
                function.record.with(&self.seats, &revision, || Arc::clone(&revision), count);
            }
        }
    }

    /// A response's head went out.
    pub fn answered(&self, answer: &Answer, took: Duration) {
        let (status, cold) = (answer.response.status().as_u16(), answer.cold);
        let Some(failure) = &answer.failure else {
            let class = Class::of(status);
            if let Some(function) = answer.function() {
                let revision = answer.response.body().source().map(|pod| &*pod.revision);
                self.of(function, revision, |series| series.answered(class, cold, took));
            }
            match class {
                // By far the most frequent ones, without a look at the family.
                Class::Success if !cold => _ = self.warm[0].inc(),
                Class::Redirect if !cold => _ = self.warm[1].inc(),
                _ => _ = self.requests.get_or_create(&Request { class, cold, origin: Origin::Function }).inc(),
            }
            return;
        };
        let (class, fault) = (Class::of(failure.fault.status().as_u16()), failure.fault.slug());
        if let Some(function) = &failure.function {
            self.of(function, None, |series| series.failed(class, fault));
        }
        if failure.fault == Fault::ClientGone {
            // There is no response, whoever noticed it.
            return self.client_gone();
        }
        self.faults.get_or_create(&Refusal { fault }).inc();
        self.requests.get_or_create(&Request { class, cold, origin: Origin::Activator }).inc();
    }

    /// A request waits for a function or goes to it: from here on it has series, if there is room for them.
    pub fn underway(&self, function: &Function) {
        if !function.record.has_begun() {
            self.of(function, None, |_| {});
        }
    }

    /// A request begins to wait in the queue.
    pub fn waiting(&self, function: &Function) -> Waiting<'_> {
        self.underway(function);
        Waiting { metrics: self, since: Instant::now() }
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
    pub fn wake(&self, function: &Function, result: WakeResult) {
        self.of(function, None, |series| series.woken(result));
        self.wakes.get_or_create(&Woken { result }).inc();
    }

    /// A request was refused as a share was used up.
    pub fn overflow(&self, share: Share) {
        self.overflows.get_or_create(&Full { share: share.as_str() }).inc();
    }

    /// A request got no answer from a pod, and might look for another.
    pub fn retried(&self, function: &Function, cause: Cause, outcome: RetryOutcome) {
        if outcome == RetryOutcome::Sent {
            self.of(function, None, Series::retried);
        }
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

    /// So many bytes of answers wait for a caller over HTTP/2.
    pub fn untaken(&self, bytes: usize) {
        self.untaken.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// So many of them wait no more.
    pub fn taken(&self, bytes: usize) {
        self.untaken.dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
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
