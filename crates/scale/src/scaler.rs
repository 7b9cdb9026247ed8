//! The size of one function, decided from everything that is known of it.

use std::time::Instant;

use crate::{
    autoscaler::{Autoscaler, Situation, larger},
    delay::Delay,
    goal::Goal,
    idle::Idle,
    instant,
    load::{Delta, Load, Said},
    settings::{Metric, Settings},
    sizing::{Inputs, Rule, Sizing, Verdict},
};

/// What is seen of a function at the time of a decision.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The last word of each activator that is heard. Who is not heard is missing here and counted in `idle.unknown`.
    pub said: &'a [Said],
    /// What the idle clock says, at the same time.
    pub idle: Idle,
    /// Replicas that are ready; `None` if they could not be counted.
    pub ready: Option<i32>,
    /// Replicas that are wanted now, `spec.replicas`, whoever asked for them.
    pub replicas: i32,
    /// Whether requests are sent to this revision: Knative's `reachability` of a PodAutoscaler.
    pub serving: bool,
    /// Whether [`Settings::initial`] replicas were ready once: Knative's condition `ScaleTargetInitialized`.
    pub reached_initial: bool,
}

/// What is remembered of one function's load and size.
///
/// The host records what activators tell as it comes, asks for a decision on every report and every second while the
/// function is awake, carries out a raise at once and anything lower by a drain. A function that is at zero with nothing
/// going on needs no decision, and then costs nothing but this struct. Whether the function is paused, or its start failed,
/// is the host's to ask first, see `Judge` in the operator.
#[derive(Clone, Debug)]
pub struct Scaler {
    load: Load,
    autoscaler: Autoscaler,
    delay: Delay,
}

impl Scaler {
    /// For a function of which nothing is remembered and that has `size` replicas, ready or wanted, whichever is more. With
    /// more than one it begins in panic mode at that number, so that a new leader lowers nothing before a stable window has
    /// passed.
    pub fn new(now: Instant, size: i32, settings: &Settings) -> Self {
        Self { load: Load::new(settings.windows()), autoscaler: Autoscaler::new(now, size), delay: Delay::default() }
    }

    /// Takes in what one activator's totals grew by from one of its reports to the next; see [`Load::record`]. The report
    /// before is that of its stream, heartbeats included, not the last one that named this function.
    pub fn record(&mut self, now: Instant, from: Instant, to: Instant, delta: Delta) {
        self.load.record(now, from, to, delta);
    }

    /// How many replicas there should be now.
    ///
    /// In this order, each step with the result of the one before: the published algorithm and the instant rule
    /// ([`Autoscaler::scale`]); not fewer than the requests in flight fill; zero instead, if the idle clock says so, or if
    /// it is at zero and no request is there; the scale-down delay; at least `min` and, before it was reached once, the
    /// initial scale; at most `max`.
    ///
    /// What is not known is never taken for a zero: while an activator is not heard nothing is lowered, and what the
    /// others tell may still raise. If the ready replicas could not be counted, nothing is decided.
    pub fn decide(&mut self, now: Instant, observed: &Observed<'_>, settings: &Settings) -> Sizing {
        self.load.resize(now, settings.windows());
        if observed.idle.known > 0 {
            self.load.vouch(now);
        }
        let sum = |of: fn(&Said) -> u32| observed.said.iter().map(|said| u64::from(of(said))).sum::<u64>();
        let goal = Goal::of(settings);
        let mut inputs = Inputs {
            metric: settings.metric,
            averages: self.load.averages(now, settings.metric, settings.averaging, observed.said),
            goal: goal.goal,
            in_flight: sum(|said| said.in_flight),
            held: sum(|said| said.held),
            ready: observed.ready,
            replicas: observed.replicas,
            panicking: self.autoscaler.panicking(),
            unknown: observed.idle.unknown,
        };
        let Some(ready) = observed.ready else {
            return Sizing { verdict: Verdict::Keep, replicas: observed.replicas, rule: Rule::Error, inputs };
        };
        let (replicas, rule) = self.number(now, observed, ready, &inputs, goal, settings);
        inputs.panicking = self.autoscaler.panicking();
        Sizing { verdict: verdict(replicas, observed), replicas, rule, inputs }
    }

    /// Bytes that it has allocated for the function's load: none without traffic.
    pub fn allocated(&self) -> usize {
        self.load.allocated()
    }

    fn number(
        &mut self,
        now: Instant,
        observed: &Observed<'_>,
        ready: i32,
        inputs: &Inputs,
        goal: Goal,
        settings: &Settings,
    ) -> (i32, Rule) {
        let Inputs { averages, in_flight, held, .. } = *inputs;
        let at_once = match settings.metric {
            Metric::Concurrency => goal,
            Metric::RequestsPerSecond => {
                Goal::of_wake(settings.metric, settings.target, settings.hard_limit, settings.utilization_percent)
            }
        };
        let instant = instant::need(in_flight, held, ready, &at_once);
        let situation = Situation { averages, goal, ready, instant, serving: observed.serving };
        let mut best = self.autoscaler.scale(now, &situation, settings);
        best = larger(best, (instant::floor(in_flight, &at_once), Rule::Instant));

        let idle_window = settings.idle_window.unwrap_or(settings.windows().stable);
        let idle = observed.idle.quiet.is_some_and(|quiet| quiet >= idle_window);
        let asleep = observed.replicas == 0;
        if in_flight == 0 && held == 0 && (idle || asleep) {
            best = (0, Rule::Idle);
            // What nobody has vouched for ends no panic.
            if asleep || observed.idle.complete() {
                self.autoscaler.rest();
            }
            if asleep {
                // What was needed before it went to sleep wakes nothing, and costs nothing.
                self.delay = Delay::default();
                self.load.forget();
            }
        }
        best = larger(best, (self.delayed(now, best.0, observed, settings), Rule::Delay));
        if !observed.reached_initial {
            best = larger(best, (settings.initial, Rule::Initial));
        }
        best = larger(best, (settings.min, Rule::Min));
        let max = settings.max.max(0);
        if best.0 > max { (max, Rule::Max) } else { best }
    }

    fn delayed(&mut self, now: Instant, result: i32, observed: &Observed<'_>, settings: &Settings) -> i32 {
        if !observed.serving {
            return result;
        }
        if self.delay.is_empty() {
            // What was decided before is not known here; that it led to this many replicas is.
            self.delay.hold(now, observed.replicas, settings.scale_down_delay);
        }
        self.delay.hold(now, result, settings.scale_down_delay)
    }
}

fn verdict(replicas: i32, observed: &Observed<'_>) -> Verdict {
    if replicas > observed.replicas {
        return Verdict::Raise(replicas);
    }
    if replicas == observed.replicas {
        return Verdict::Keep;
    }
    match replicas {
        _ if !observed.idle.complete() => Verdict::Blocked(replicas),
        0 => Verdict::Zero,
        _ => Verdict::Lower(replicas),
    }
}

#[cfg(test)]
mod tests;
