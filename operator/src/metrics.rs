//! The reconcilers' metrics.

use std::{sync::Arc, time::Duration};

use crds::{ConditionType, Function, condition};
use kube::runtime::reflector::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::{Registry, Unit},
};

/// What was reconciled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs)]
pub enum Kind {
    Function,
    Trigger,
}

/// How a pass ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// As wanted.
    Done,
    /// The object waits for its user, or for other objects.
    Waiting,
    /// The API server failed or refused; the pass is repeated.
    Error,
}

/// A write to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
#[allow(missing_docs)]
pub enum ApiWrite {
    Create,
    Apply,
    Delete,
    Status,
    Event,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    kind: Kind,
    outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    write: ApiWrite,
}

/// The reconcilers' metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Family<PassLabels, Counter>,
    seconds: Family<KindLabels, Histogram, fn() -> Histogram>,
    writes: Family<WriteLabels, Counter>,
    /// Events about objects that were thrown away: too many waited, the term ended first, or the API server did not take them.
    pub events_dropped: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 8))),
            writes: Family::default(),
            events_dropped: Counter::default(),
        }
    }
}

impl Metrics {
    /// Adds all metrics to a registry. `functions`: what the gauge of functions by state is counted from, at each
    /// scrape.
    pub fn register(&self, registry: &mut Registry, functions: Store<Function>) {
        let passes = self.passes.clone();
        registry.register("rouse_operator_reconciles", "Passes over an object, by how they ended", passes);
        let seconds = self.seconds.clone();
        registry.register_with_unit("rouse_operator_reconcile", "Length of a pass", Unit::Seconds, seconds);
        registry.register("rouse_operator_writes", "Writes to the API server", self.writes.clone());
        let dropped = self.events_dropped.clone();
        registry.register(
            "rouse_operator_events_dropped",
            "Events thrown away: too many waited, the term ended first, or the API server did not take them",
            dropped,
        );
        registry.register_collector(Box::new(States { functions: Arc::new(functions) }));
    }

    /// Counts a pass.
    pub fn pass(&self, kind: Kind, outcome: Outcome, took: Duration) {
        self.passes.get_or_create(&PassLabels { kind, outcome }).inc();
        self.seconds.get_or_create(&KindLabels { kind }).observe(took.as_secs_f64());
    }

    /// Counts a write that the API server accepted.
    pub fn wrote(&self, write: ApiWrite) {
        self.writes.get_or_create(&WriteLabels { write }).inc();
    }
}

/// Counts functions by state when asked.
#[derive(Debug)]
struct States {
    functions: Arc<Store<Function>>,
}

impl Collector for States {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (mut active, mut idle, mut unready) = (0_u64, 0_u64, 0_u64);
        for function in self.functions.state() {
            let conditions = function.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
            if !condition::is_true(conditions, ConditionType::Ready) {
                unready += 1;
            } else if condition::is_true(conditions, ConditionType::Active) {
                active += 1;
            } else {
                idle += 1;
            }
        }
        let gauge = ConstGauge::new(0_u64);
        let mut family =
            encoder.encode_descriptor("rouse_operator_functions", "Functions by state", None, gauge.metric_type())?;
        for (state, count) in [("active", active), ("idle", idle), ("not_ready", unready)] {
            ConstGauge::new(count).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}
