//! How much load one replica is meant to have, and how many replicas a load needs.

use crate::settings::{Metric, Settings};

/// Requests at once that a replica is said to handle when nothing says how many: Knative's
/// `container-concurrency-target-default`.
pub const DEFAULT_CONCURRENCY: f64 = 100.0;
/// Requests a second: Knative's `requests-per-second-target-default`.
pub const DEFAULT_REQUESTS_PER_SECOND: f64 = 200.0;
/// Least goal in requests at once: a goal of nothing would need endless replicas.
pub const LEAST_CONCURRENCY: f64 = 0.01;
/// How far a quotient may lie above a whole number and still be that number: 7 / 0.7 is ten, not eleven.
const SLACK: f64 = 1e-9;

/// How far a measured average may lie above the truth, as a share of it.
const MEASURED: f64 = 0.005;

/// What one replica is meant to have, in requests at once or in requests a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What it can have.
    pub total: f64,
    /// What it is meant to have: total × utilisation.
    pub goal: f64,
}

impl Goal {
    /// In the unit of the metric, for the averages. Concurrency: the target, the hard limit, the smaller of them if there are
    /// both, the default if there is neither; the goal is at least 0.01. RequestsPerSecond: the target alone; a hard limit is
    /// in another unit. Source: knative/serving, `pkg/reconciler/autoscaling/resources/target.go`.
    pub fn of(settings: &Settings) -> Self {
        match settings.metric {
            Metric::Concurrency => {
                let (target, limit) = (positive(settings.target), limit(settings.hard_limit));
                let either = target.or(limit).unwrap_or(DEFAULT_CONCURRENCY);
                let total = limit.map_or(either, |limit| limit.min(either));
                Self::concurrent(total, settings.utilization_percent)
            }
            Metric::RequestsPerSecond => {
                let total = positive(settings.target).unwrap_or(DEFAULT_REQUESTS_PER_SECOND);
                Self { total, goal: total * share(settings.utilization_percent) }
            }
        }
    }

    /// In requests at once, whatever the metric: for a wake, for the pace at which held requests are let go, and for the
    /// instant rule of a Function that is sized by requests a second.
    ///
    /// The hard limit if there is one, else the target if it is in requests at once, else 100. Operator and activator
    /// both use this, so that a wake and the decision that follows it agree.
    pub fn of_wake(metric: Metric, target: Option<f64>, hard_limit: u32, utilization_percent: f64) -> Self {
        let target = positive(target).filter(|_| metric == Metric::Concurrency);
        let total = limit(hard_limit).or(target).unwrap_or(DEFAULT_CONCURRENCY);
        Self::concurrent(total, utilization_percent)
    }

    /// Replicas that a load of this goal's unit needs: `ceil(load / goal)`, 0 for no load.
    pub fn replicas(&self, load: f64) -> i32 {
        ceil(load / self.goal)
    }

    /// Replicas that a measured average needs: half a percent above a whole number of goals is that number.
    ///
    /// An average is made of times that are told in milliseconds and come over a network. Fifty requests that were there
    /// for the whole of a second may come out as fifty and a tenth, and are no reason for one more replica.
    pub fn replicas_on_average(&self, average: f64) -> i32 {
        ceil(average / self.goal * (1.0 - MEASURED))
    }

    /// Replicas that can just take a load, each filled to its total.
    pub fn least(&self, load: f64) -> i32 {
        ceil(load / self.total)
    }

    fn concurrent(total: f64, utilization_percent: f64) -> Self {
        Self { total, goal: (total * share(utilization_percent)).max(LEAST_CONCURRENCY) }
    }
}

fn limit(hard: u32) -> Option<f64> {
    (hard > 0).then(|| f64::from(hard))
}

fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

/// As a fraction, above 0 and at most 1; what is no percentage is 1.
fn share(percent: f64) -> f64 {
    if percent > 0.0 && percent < 100.0 { percent / 100.0 } else { 1.0 }
}

/// The next whole number, at least 0. What is too large for an `i32` is the largest one, what is no number 0.
fn ceil(value: f64) -> i32 {
    #[allow(clippy::cast_possible_truncation)]
    let whole = (value - SLACK).ceil() as i32;
    whole.max(0)
}

#[cfg(test)]
mod tests;
