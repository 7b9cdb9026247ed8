//! What is counted of scaling.

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{
    decision::Because,
    drain::{End, Outcome, Why},
    resize::Resized,
    write::Way,
};
use crate::link;

/// Which way a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Direction {
    Up,
    Down,
    Zero,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum WriteResult {
    Done,
    Conflict,
    Gone,
    Failed,
    NoLease,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    direction: Direction,
    result: WriteResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Reason {
    Idle,
    Stopped,
    Retired,
    Failed,
    Excess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum DrainResult {
    Lowered,
    Cancelled,
    Raised,
    Gone,
    Refused,
    Unnamed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DrainLabels {
    reason: Reason,
    result: DrainResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RuleLabels {
    rule: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
enum ResizeResult {
    Done,
    Gone,
    Refused,
    Failed,
    NoLease,
    Stuck,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResizeLabels {
    result: ResizeResult,
}

/// The metrics of scaling and of the link. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// The link's.
    pub link: link::Metrics,
    /// Functions with an order to drain.
    pub draining: Gauge,
    /// Lowerings that nothing stood in the way of any more: drained, waited for long enough, or never started.
    pub acknowledged: Counter,
    /// Functions that would be lowered if every activator were heard.
    pub blocked: Gauge,
    /// Whether functions with a CPU limit start with a higher one: 1 or 0.
    pub boosts: Gauge,
    resizes: Family<ResizeLabels, Counter>,
    /// Reads and writes that wait, because as many as may be are open.
    pub waiting: Gauge,
    writes: Family<WriteLabels, Counter>,
    drains: Family<DrainLabels, Counter>,
    strays: Counter,
    decisions: Family<RuleLabels, Counter>,
}

impl Metrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let this = Self { link: link::Metrics::register(registry), ..Self::default() };
        registry.register("rouse_functions_draining", "Functions with an order to drain", this.draining.clone());
        registry.register(
            "rouse_drains_acknowledged",
            "Lowerings that nothing stood in the way of any more",
            this.acknowledged.clone(),
        );
        registry.register(
            "rouse_scale_downs_blocked",
            "Functions that would be lowered if every activator were heard",
            this.blocked.clone(),
        );
        registry.register(
            "rouse_startup_boost",
            "Whether functions with a CPU limit start with a higher one: 0 where it is off or the API server cannot resize pods",
            this.boosts.clone(),
        );
        registry.register(
            "rouse_startup_resizes",
            "Resizes of started pods to their own CPU limit, by result; stuck: the node does not put it in force",
            this.resizes.clone(),
        );
        registry.register(
            "rouse_scale_calls_waiting",
            "Reads and writes of the leader that wait for others to end",
            this.waiting.clone(),
        );
        registry.register("rouse_scale_writes", "Writes to /scale by the leader, by result", this.writes.clone());
        registry.register(
            "rouse_drains",
            "Revisions brought to zero or to fewer replicas, or not, by reason and result",
            this.drains.clone(),
        );
        registry.register(
            "rouse_pods_deleted_undrained",
            "Pods that went in the place of those that were named to go",
            this.strays.clone(),
        );
        registry.register(
            "rouse_scale_decisions",
            "Changes of a size, by the rule that had the last word",
            this.decisions.clone(),
        );
        this
    }

    /// Counts a write.
    pub(super) fn wrote(&self, replicas: i32, way: Way, outcome: Outcome) {
        let direction = match way {
            Way::Up => Direction::Up,
            Way::Down if replicas > 0 => Direction::Down,
            Way::Down => Direction::Zero,
        };
        let result = match outcome {
            Outcome::Done => WriteResult::Done,
            Outcome::Conflict => WriteResult::Conflict,
            Outcome::Gone => WriteResult::Gone,
            Outcome::Failed => WriteResult::Failed,
            Outcome::NotNow => WriteResult::NoLease,
        };
        self.writes.get_or_create(&WriteLabels { direction, result }).inc();
    }

    /// Counts a resize of a pod.
    pub(super) fn resized(&self, outcome: &Resized) {
        let result = match outcome {
            Resized::Done => ResizeResult::Done,
            Resized::Gone => ResizeResult::Gone,
            Resized::Refused(_) => ResizeResult::Refused,
            Resized::Failed => ResizeResult::Failed,
            Resized::NotNow => ResizeResult::NoLease,
        };
        self.resizes.get_or_create(&ResizeLabels { result }).inc();
    }

    /// Counts a resize that a pod's node does not carry out.
    pub(super) fn stuck(&self) {
        self.resizes.get_or_create(&ResizeLabels { result: ResizeResult::Stuck }).inc();
    }

    /// Counts a change of a size.
    pub(super) fn decided(&self, because: &Because) {
        let rule = match because {
            Because::Load(sizing) => sizing.rule.name(),
            Because::Spec { .. } => "Spec",
        };
        self.decisions.get_or_create(&RuleLabels { rule }).inc();
    }

    /// Counts how a revision's way down ended.
    pub(super) fn ended(&self, why: Why, end: End) {
        let reason = match why {
            Why::Idle => Reason::Idle,
            Why::Stopped => Reason::Stopped,
            Why::Retired => Reason::Retired,
            Why::Failed => Reason::Failed,
            Why::Excess => Reason::Excess,
        };
        let result = match end {
            End::Lowered { strays } => {
                self.strays.inc_by(strays as u64);
                DrainResult::Lowered
            }
            End::Cancelled => DrainResult::Cancelled,
            End::Raised => DrainResult::Raised,
            End::Gone => DrainResult::Gone,
            End::Refused => DrainResult::Refused,
            End::Unnamed => DrainResult::Unnamed,
        };
        self.drains.get_or_create(&DrainLabels { reason, result }).inc();
    }
}

#[cfg(test)]
mod tests;
