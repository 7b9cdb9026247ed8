//! What a Function says about its size, with the defaults of the Knative Pod Autoscaler where it has them.

use std::time::Duration;

/// Shortest stable window.
pub const SHORTEST_WINDOW: Duration = Duration::from_secs(6);
/// Longest stable window.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(3600);
/// Shortest panic window: one of Knative's own buckets.
pub const SHORTEST_PANIC_WINDOW: Duration = Duration::from_secs(1);

/// What is averaged over the windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Requests at once, in flight and held together; each request counts once.
    #[default]
    Concurrency,
    /// Requests that arrive in a second.
    RequestsPerSecond,
}

/// How a window weighs its seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Averaging {
    /// All alike.
    #[default]
    Linear,
    /// The newest most, each older second less by a constant factor; see [`crate::weighted`].
    Weighted,
}

/// The settings of one Function. They may change between two decisions.
///
/// The defaults are those of Knative's `config-autoscaler`, except for `initial` (0 here: a new Function starts no pod).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// What is averaged. Default Concurrency.
    pub metric: Metric,
    /// Of the metric, in one replica: requests at once, or requests a second. `None` is the metric's default, 100 at
    /// once or 200 a second.
    pub target: Option<f64>,
    /// Percent of the target that a replica is meant to have. Default 70.
    pub utilization_percent: f64,
    /// Most requests that one replica ever handles at once; 0 is no limit. Default 0. Knative's `containerConcurrency`; see
    /// [`Goal::of`](crate::Goal::of) for its part in the goal.
    pub hard_limit: u32,
    /// The stable window; taken to 6 s – 1 h. Default 60 s.
    pub stable_window: Duration,
    /// How long there must be no request before the last replica goes. `None` is the stable window.
    pub idle_window: Option<Duration>,
    /// The panic window in percent of the stable one; it has at least one second. Default 10.
    pub panic_window_percent: f64,
    /// Panic begins when the panic window's average needs so many times the replicas that are ready. Default 2.
    pub panic_threshold: f64,
    /// One decision at most multiplies the ready replicas by this. Default 1000.
    pub max_up_rate: f64,
    /// One decision at most divides the ready replicas by this. Default 2.
    pub max_down_rate: f64,
    /// A lower number must have been enough for so long. It holds for zero too: then it begins where the idle window
    /// ends. Default 0.
    pub scale_down_delay: Duration,
    /// Fewest replicas while there is any load; 0 and 1 say nothing. Default 0. Knative's `activation-scale`, applied in
    /// `pkg/autoscaler/scaling/autoscaler.go`.
    pub activation: i32,
    /// Replicas that always run. Default 0.
    pub min: i32,
    /// Most replicas. It wins over everything else. Default 100.
    pub max: i32,
    /// Replicas that a new Function holds until so many were ready once; 0 says nothing. Default 0. Knative's
    /// `initial-scale`, applied in `pkg/reconciler/autoscaling/kpa/scaler.go`.
    pub initial: i32,
    /// Default Linear. Knative's `metric-aggregation-algorithm`, of `pkg/autoscaler/aggregation`.
    pub averaging: Averaging,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metric: Metric::Concurrency,
            target: None,
            utilization_percent: 70.0,
            hard_limit: 0,
            stable_window: Duration::from_secs(60),
            idle_window: None,
            panic_window_percent: 10.0,
            panic_threshold: 2.0,
            max_up_rate: 1000.0,
            max_down_rate: 2.0,
            scale_down_delay: Duration::ZERO,
            activation: 0,
            min: 0,
            max: 100,
            initial: 0,
            averaging: Averaging::Linear,
        }
    }
}

impl Settings {
    /// The lengths of the two windows.
    pub fn windows(&self) -> Windows {
        Windows::new(self.stable_window, self.panic_window_percent)
    }
}

/// The lengths of the two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// 6 s – 1 h.
    pub stable: Duration,
    /// At least a second, at most the stable one.
    pub panic: Duration,
}

impl Windows {
    /// Takes both to their bounds; a percentage that is no number gives the shortest panic window.
    pub fn new(stable: Duration, panic_percent: f64) -> Self {
        let stable = stable.clamp(SHORTEST_WINDOW, LONGEST_WINDOW);
        let share = if panic_percent > 0.0 { panic_percent.min(100.0) / 100.0 } else { 0.0 };
        Self { stable, panic: stable.mul_f64(share).max(SHORTEST_PANIC_WINDOW) }
    }
}
