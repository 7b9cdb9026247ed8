//! The deletion costs of pods (KEP-2255): those that go first have one, and nobody else. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::TRIES;

/// A write of a cost that shows no effect is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);
/// One that has failed [`TRIES`] times, after twice as long each time, up to this.
const AGAIN_MOST: Duration = Duration::from_secs(300);

/// Pods whose cost is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    /// UIDs of those that get one.
    pub set: BTreeSet<String>,
    /// UIDs of those that lose theirs.
    pub clear: BTreeSet<String>,
}

/// What was asked for of one pod.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// When it may be asked for again.
    pub(super) again: Instant,
    /// Times that it failed.
    pub(super) failures: u32,
}

/// The pods whose costs were asked for. Holds no more than there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(pub(super) BTreeMap<String, Asked>);

impl Marks {
    /// What is to be written so that of the pods `there`, with `marked` having a cost now, exactly `wanted` have one.
    pub(super) fn step(
        &mut self,
        there: &BTreeSet<String>,
        marked: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
        now: Instant,
    ) -> Option<Marking> {
        let mut marking = Marking {
            set: wanted.intersection(there).filter(|pod| !marked.contains(*pod)).cloned().collect(),
            clear: marked.intersection(there).filter(|pod| !wanted.contains(*pod)).cloned().collect(),
        };
        let differs = |pod: &String| marking.set.contains(pod) || marking.clear.contains(pod);
        self.0.retain(|pod, asked| there.contains(pod) && (now < asked.again || differs(pod)));
        let due = |pod: &String| self.0.get(pod).is_none_or(|asked| now >= asked.again);
        marking.set.retain(due);
        marking.clear.retain(due);
        for pod in marking.set.iter().chain(&marking.clear) {
            self.0.entry(pod.clone()).or_insert(Asked { again: now, failures: 0 }).again = now + AGAIN;
        }
        (marking != Marking::default()).then_some(marking)
    }

    /// The cost of a pod was asked for in vain.
    pub(super) fn failed(&mut self, pod: &str, now: Instant) {
        let Some(asked) = self.0.get_mut(pod) else { return };
        asked.failures = asked.failures.saturating_add(1);
        let pause = AGAIN.saturating_mul(2_u32.saturating_pow(asked.failures.saturating_sub(TRIES)));
        asked.again = now + pause.min(AGAIN_MOST);
    }

    /// The costs were not asked for after all.
    pub(super) fn postponed(&mut self, marking: &Marking, now: Instant) {
        for pod in marking.set.iter().chain(&marking.clear) {
            if let Some(asked) = self.0.get_mut(pod) {
                asked.again = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pods: &[&str]) -> BTreeSet<String> {
        pods.iter().map(|pod| (*pod).to_owned()).collect()
    }

    #[test]
    fn what_is_missing_is_set_what_is_left_over_cleared_and_nothing_asked_twice_in_a_second() {
        let start = Instant::now();
        let mut marks = Marks::default();
        let there = set(&["a", "b", "c"]);
        let marking = marks.step(&there, &set(&["b", "gone"]), &set(&["a", "never"]), start).unwrap();
        assert_eq!(marking, Marking { set: set(&["a"]), clear: set(&["b"]) });
        assert_eq!(marks.step(&there, &set(&["b"]), &set(&["a"]), start + AGAIN / 2), None);
        let late = marks.step(&there, &set(&[]), &set(&["a"]), start + AGAIN).unwrap();
        assert_eq!(late, Marking { set: set(&["a"]), clear: set(&[]) });
        assert_eq!(marks.step(&there, &set(&["a"]), &set(&["a"]), start + 2 * AGAIN), None);
        marks.step(&set(&[]), &set(&[]), &set(&[]), start + 3 * AGAIN);
        assert!(marks.0.is_empty());
    }

    #[test]
    fn what_fails_is_tried_ever_more_rarely_until_it_is_as_wanted() {
        let mut now = Instant::now();
        let mut marks = Marks::default();
        let (there, none) = (set(&["a"]), set(&[]));
        let mut pauses = Vec::new();
        for _ in 0..16 {
            assert!(marks.step(&there, &there, &none, now).is_some());
            marks.failed("a", now);
            let start = now;
            while marks.clone().step(&there, &there, &none, now).is_none() {
                now += AGAIN;
            }
            pauses.push((now - start).as_secs());
        }
        assert_eq!(pauses, [1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        marks.step(&there, &none, &none, now);
        assert!(marks.0.is_empty(), "it begins anew");
    }

    #[test]
    fn what_was_not_asked_for_after_all_is_due() {
        let start = Instant::now();
        let mut marks = Marks::default();
        let there = set(&["a", "b"]);
        let step = |marks: &mut Marks| marks.step(&there, &set(&["b"]), &set(&["a"]), start);
        let marking = step(&mut marks).unwrap();
        assert_eq!(step(&mut marks), None);
        marks.postponed(&marking, start);
        assert_eq!(step(&mut marks), Some(marking));
    }
}
