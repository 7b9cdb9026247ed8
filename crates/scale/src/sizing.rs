//! What one decision says, and why.

use std::fmt;

use crate::{load::Averages, settings::Metric};

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

/// As a sentence of an event: `in flight 7, held 0, average 6.50 (stable) and 7.25 (panic), goal 70.00 at once per replica,
/// 1 ready of 1`.
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
