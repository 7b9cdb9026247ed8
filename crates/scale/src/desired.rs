//! What the number of replicas should become.

use std::time::Duration;

use crate::Idle;

/// What a Function's spec says about its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Nobody is served and nothing runs.
    pub paused: bool,
    /// Replicas that always run.
    pub min: i32,
    /// Most replicas. It wins over `min`.
    pub max: i32,
    /// How long there must be no request before the last replica goes.
    pub window: Duration,
}

impl Policy {
    /// Replicas that run without any request.
    pub fn floor(&self) -> i32 {
        self.min.min(self.max).max(0)
    }
}

/// Why nothing should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Zero {
    /// Nobody called for a whole window.
    Idle,
    /// The Function is paused.
    Paused,
    /// Its start failed: from zero, the next request starts it afresh.
    Failed,
}

/// What to do about the serving revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Raise it to this many replicas.
    Raise(i32),
    /// Bring it to zero.
    Zero(Zero),
    /// It would go to zero, but not every activator is heard: keep it, and say so.
    Blocked(Zero),
}

/// Decides about a serving revision of which `replicas` are wanted now. `failed`: its start failed and none of its pods
/// is ready.
///
/// A failed start goes to zero whatever is known, because no request can be in one of its pods. Everything else that
/// lowers needs the whole picture: what is not known is never taken for a zero. A number above `max` stays: lowering to
/// more than zero is not decided here.
pub fn desired(policy: &Policy, replicas: i32, failed: bool, idle: &Idle) -> Decision {
    let zero = |why| if idle.complete() { Decision::Zero(why) } else { Decision::Blocked(why) };
    if failed {
        return if replicas > 0 { Decision::Zero(Zero::Failed) } else { Decision::Keep };
    }
    if policy.paused {
        return if replicas > 0 { zero(Zero::Paused) } else { Decision::Keep };
    }
    let floor = policy.floor();
    if replicas < floor {
        return Decision::Raise(floor);
    }
    let quiet = idle.quiet.is_some_and(|quiet| quiet >= policy.window);
    if floor == 0 && replicas > 0 && quiet { zero(Zero::Idle) } else { Decision::Keep }
}

/// Replicas to raise a candidate to, so that it is at the serving revision's size before it takes over; `None` when it
/// is already. Never lowers.
pub fn follow(candidate: i32, serving: i32) -> Option<i32> {
    (candidate < serving).then_some(serving)
}

#[cfg(test)]
mod tests;
