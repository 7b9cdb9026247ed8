//! The size of one function, decided from everything that is known of it.

use std::{fmt, time::Instant};

use crate::{
    autoscaler::{Autoscaler, Situation, larger},
    delay::Delay,
    goal::Goal,
    idle::Idle,
    instant,
    load::{Averages, Delta, Load, Said},
    settings::{Metric, Settings},
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
    /// Whether requests are sent to this revision.
    pub serving: bool,
    /// Whether [`Settings::initial`] replicas were ready once.
    pub reached_initial: bool,
}

/// What is to be done about the number of replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Keep,
    /// Raise it, at once.
    Raise(i32),
    /// Lower it to so many, at least one, by a drain.
    Lower(i32),
    /// Bring it to zero, by a drain.
    Zero,
    /// It would be lowered to so many, but not every activator is heard: keep it, and say so.
    Blocked(i32),
}

/// Which rule had the last word on the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// The stable window's average, within the limits of one decision.
    Stable,
    /// The panic window's average, or the ratchet of the panic mode.
    Panic,
    /// Requests in flight and held at this moment.
    Instant,
    /// The activation scale.
    Activation,
    /// The scale-down delay.
    Delay,
    /// The Function's initial scale.
    Initial,
    /// `minReplicas`.
    Min,
    /// `maxReplicas`.
    Max,
    /// The idle clock: nothing in flight or held for the whole window; or it is at zero, and nothing calls for it.
    Idle,
    /// The ready replicas could not be counted: nothing is decided.
    Error,
}

impl Rule {
    /// Every rule, for a metric's label.
    pub const ALL: [Self; 10] = [
        Self::Stable,
        Self::Panic,
        Self::Instant,
        Self::Activation,
        Self::Delay,
        Self::Initial,
        Self::Min,
        Self::Max,
        Self::Idle,
        Self::Error,
    ];

    /// Its name in a metric or an event.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "Stable",
            Self::Panic => "Panic",
            Self::Instant => "Instant",
            Self::Activation => "Activation",
            Self::Delay => "Delay",
            Self::Initial => "Initial",
            Self::Min => "Min",
            Self::Max => "Max",
            Self::Idle => "Idle",
            Self::Error => "Error",
        }
    }
}

/// What a decision was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Inputs {
    /// The unit of the averages and the goal.
    pub metric: Metric,
    /// Of both windows.
    pub averages: Averages,
    /// Of one replica.
    pub goal: f64,
    /// Requests in flight, by all activators that are heard.
    pub in_flight: u64,
    /// Requests held.
    pub held: u64,
    /// Replicas that are ready; `None` if they could not be counted.
    pub ready: Option<i32>,
    /// Replicas that were wanted before.
    pub replicas: i32,
    /// Whether it is in panic mode.
    pub panicking: bool,
    /// Activators that count and are not heard.
    pub unknown: usize,
}

/// As in an event: `in flight 7, held 0, average 6.5 (60 s) and 7.25 (panic), goal 7 per replica, 1 ready of 1`.
impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { averages, goal, in_flight, held, replicas, .. } = self;
        let unit = match self.metric {
            Metric::Concurrency => "at once",
            Metric::RequestsPerSecond => "a second",
        };
        let Averages { stable, panic } = averages;
        write!(f, "in flight {in_flight}, held {held}, average {stable:.2} (stable) and {panic:.2} (panic), ")?;
        write!(f, "goal {goal:.2} {unit} per replica, ")?;
        match self.ready {
            Some(ready) => write!(f, "{ready} ready of {replicas}")?,
            None => write!(f, "of {replicas} nobody knows how many are ready")?,
        }
        if self.panicking {
            f.write_str(", in panic")?;
        }
        if self.unknown > 0 {
            write!(f, ", {} activator(s) not heard", self.unknown)?;
        }
        Ok(())
    }
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sizing {
    /// What is to be done.
    pub verdict: Verdict,
    /// How many replicas there should be.
    pub replicas: i32,
    /// Which rule had the last word on that.
    pub rule: Rule,
    /// What it was made from.
    pub inputs: Inputs,
}

/// What is remembered of one function's load and size.
///
/// The host records what activators tell as it comes, asks for a decision on every report and every second while the
/// function is awake, carries out a raise at once and anything lower by a drain. A function that is at zero with nothing
/// going on needs no decision, and then costs nothing but this struct. Whether the function is paused, or its start failed,
/// is the host's to ask first, see [`crate::desired`].
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
                // What was needed before it went to sleep wakes nothing.
                self.delay = Delay::default();
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
