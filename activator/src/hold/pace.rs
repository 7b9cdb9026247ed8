//! How much of a queue one pod gets at once: so much of it may be at the pod without an answer.
//!
//! While more replicas are to come it is the goal's share, so that the first pod up does not get the whole queue. With as
//! many as there will be, nothing is to be waited for, and what is left is that nobody takes ten thousand connections in a
//! millisecond: a pod gets as much as keeps it busy, and the next as soon as it answers. One that answers late gets more all
//! the same: what it has may be long polls, and how much is too much for it nobody knows here.

use std::time::Duration;

use crate::function::Spec;

/// What one pod gets at once where no more are to come, if its share is not larger. In tests so little that a random script
/// meets it.
pub(super) const AT_ONCE: u32 = if cfg!(test) { 3 } else { 200 };
/// While more are to come, a request without an answer no longer counts after this.
pub(super) const PATIENT: Duration = Duration::from_secs(1);
/// The same where none are: a thousand a second and more go to each pod, whatever becomes of them there.
pub(super) const PROMPT: Duration = Duration::from_millis(200);

/// The pace at which a queue is let go to one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Requests without an answer, at least 1.
    pub most: u32,
    /// For how long one of them counts.
    pub lasts: Duration,
}

impl Pace {
    /// Of a function of which so many pods are ready.
    pub fn of(spec: &Spec, ready: usize) -> Self {
        let share = spec.share();
        if i32::try_from(ready).unwrap_or(i32::MAX) < spec.scaling.most() {
            Self { most: share, lasts: PATIENT }
        } else {
            Self { most: share.max(AT_ONCE), lasts: PROMPT }
        }
    }
}

#[cfg(test)]
mod tests {
    use crds::function::Mode;

    use super::*;

    #[test]
    fn the_share_counts_while_more_are_to_come() {
        let share = |most| Pace { most, lasts: PATIENT };
        let rest = |most| Pace { most, lasts: PROMPT };
        for (mode, replicas, max, target, ready, pace) in [
            (Mode::Auto, 0, 3, 2, 1, share(2)),
            (Mode::Auto, 0, 3, 2, 2, share(2)),
            (Mode::Auto, 0, 3, 2, 3, rest(AT_ONCE)),
            (Mode::Auto, 0, 3, 2, 4, rest(AT_ONCE)),
            (Mode::Auto, 0, 1, 70, 1, rest(70)),
            (Mode::Auto, 0, 2, 70, 1, share(70)),
            (Mode::Manual, 1, 3, 2, 1, rest(AT_ONCE)),
            (Mode::Manual, 2, 3, 2, 1, share(2)),
        ] {
            let mut spec = Spec::test();
            spec.scaling.mode = mode;
            (spec.scaling.replicas, spec.scaling.max_replicas) = (replicas, max);
            (spec.scaling.target, spec.scaling.target_utilization_percent) = (Some(target), 100);
            assert_eq!(Pace::of(&spec, ready), pace, "{ready} ready of {max}, target {target}, {mode:?} {replicas}");
        }
    }
}
