//! The published algorithm of the Knative Pod Autoscaler, for the averages of one decision.
//!
//! Source: knative/serving, `pkg/autoscaler/scaling/autoscaler.go`, and "Knative Serving autoscaling" in its docs.
//! One difference: the smallest result is 1, because zero comes from the idle clock alone.

use std::time::Instant;

use crate::{goal::Goal, load::Averages, panic::Panic, settings::Settings, sizing::Rule};

/// What one decision of the algorithm knows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// In the unit of the goal.
    pub averages: Averages,
    /// In the unit of the metric.
    pub goal: Goal,
    /// Replicas that are ready.
    pub ready: i32,
    /// What the instant rule asks for; see [`crate::instant`].
    pub instant: Option<i32>,
    /// Whether requests are sent to this revision. One without traffic goes down at once.
    pub serving: bool,
}

/// The algorithm's memory: its panic mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Autoscaler {
    panic: Panic,
}

impl Autoscaler {
    /// For a function of which nothing is remembered and that has so many replicas; see [`Panic::new`].
    pub fn new(now: Instant, size: i32) -> Self {
        Self { panic: Panic::new(now, size) }
    }

    /// Whether it is in panic mode.
    pub fn panicking(&self) -> bool {
        self.panic.is_on()
    }

    /// Forgets the panic: the function is at zero.
    pub fn rest(&mut self) {
        self.panic = Panic::default();
    }

    /// How many replicas, at least 1, before any delay and bounds; and which rule said so.
    ///
    /// With `n = max(1, ready)` the averages ask for `ceil(average / goal)`, each taken to
    /// `[floor(n / max down rate), ceil(n × max up rate)]`. The activation scale replaces a smaller result if there is any
    /// load. Panic begins, or is extended, when the panic average alone asks for `n × panic threshold` or more, and, beyond
    /// Knative, when the instant rule asks for more than `n`: without that, the raise would be taken back at the next
    /// decision, long before the stable average has seen the load. In panic the result is the largest of the stable one,
    /// the panic one, the instant one, and every result since it began.
    pub fn scale(&mut self, now: Instant, situation: &Situation, settings: &Settings) -> (i32, Rule) {
        let Situation { averages, goal, ready, instant, serving } = *situation;
        let n = ready.max(1);
        let limits = Limits::of(n, serving, settings);
        let wanted_in_panic = goal.replicas_on_average(averages.panic);
        let over = f64::from(wanted_in_panic) / f64::from(n) >= settings.panic_threshold;
        let urgent = instant.is_some_and(|instant| instant > n);
        self.panic.observe(now, over || urgent, settings.windows().stable);

        let mut best = limits.apply(goal.replicas_on_average(averages.stable), Rule::Stable);
        if self.panic.is_on() {
            best = larger(best, limits.apply(wanted_in_panic, Rule::Panic));
        }
        if let Some(instant) = instant {
            best = larger(best, (instant, Rule::Instant));
        }
        best = larger(best, (self.panic.hold(best.0), Rule::Panic));
        (best.0.max(1), best.1)
    }
}

/// How far one decision may go.
struct Limits {
    down: i32,
    up: i32,
    activation: i32,
}

impl Limits {
    fn of(n: i32, serving: bool, settings: &Settings) -> Self {
        // A rate below one, or none, would turn the limits round.
        let rate = |rate: f64| if rate >= 1.0 { rate } else { 1.0 };
        let n = f64::from(n);
        #[allow(clippy::cast_possible_truncation)]
        let down = if serving { (n / rate(settings.max_down_rate)).floor() as i32 } else { 0 };
        #[allow(clippy::cast_possible_truncation)]
        let up = (n * rate(settings.max_up_rate)).ceil() as i32;
        Self { down, up, activation: settings.activation }
    }

    fn apply(&self, wanted: i32, rule: Rule) -> (i32, Rule) {
        let result = wanted.max(self.down).min(self.up);
        if wanted > 0 && self.activation > result.max(1) { (self.activation, Rule::Activation) } else { (result, rule) }
    }
}

/// The larger result, with its rule; of equals the first.
pub(crate) fn larger(first: (i32, Rule), second: (i32, Rule)) -> (i32, Rule) {
    if second.0 > first.0 { second } else { first }
}

#[cfg(test)]
mod tests;
