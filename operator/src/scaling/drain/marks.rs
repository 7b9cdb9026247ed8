//! The deletion costs of pods (KEP-2255): those that go first have one, and nobody else. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// A write of a cost that shows no effect is tried again after this long.
const AGAIN: Duration = Duration::from_secs(1);

/// Pods whose cost is to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    /// UIDs of those that get one.
    pub set: BTreeSet<String>,
    /// UIDs of those that lose theirs.
    pub clear: BTreeSet<String>,
}

/// When each pod's cost was last asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(pub(super) BTreeMap<String, Instant>);

impl Marks {
    /// What is to be written so that of the pods `there`, with `marked` having a cost now, exactly `wanted` have one.
    pub(super) fn step(
        &mut self,
        there: &BTreeSet<String>,
        marked: &BTreeSet<String>,
        wanted: &BTreeSet<String>,
        now: Instant,
    ) -> Option<Marking> {
        self.0.retain(|pod, again| there.contains(pod) && now < *again);
        let mut marking = Marking {
            set: wanted.intersection(there).filter(|pod| !marked.contains(*pod)).cloned().collect(),
            clear: marked.intersection(there).filter(|pod| !wanted.contains(*pod)).cloned().collect(),
        };
        marking.set.retain(|pod| !self.0.contains_key(pod));
        marking.clear.retain(|pod| !self.0.contains_key(pod));
        let asked = marking.set.iter().chain(&marking.clear);
        self.0.extend(asked.map(|pod| (pod.clone(), now + AGAIN)));
        (marking != Marking::default()).then_some(marking)
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
}
