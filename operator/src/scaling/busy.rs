//! How busy each pod of a Function is, so that those go whose going costs least. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Requests in flight by pod (UID), summed over the activators. A pod that nobody names has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Busy(BTreeMap<String, u64>);

impl Busy {
    /// So many more at that pod.
    pub fn add(&mut self, pod: &str, in_flight: u32) {
        *self.0.entry(pod.to_owned()).or_default() += u64::from(in_flight);
    }

    /// The `count` least busy of `pods`; equals by UID, so that the same picture gives the same choice.
    pub fn least(&self, pods: &BTreeSet<String>, count: usize) -> BTreeSet<String> {
        let mut pods: Vec<&String> = pods.iter().collect();
        pods.sort_by_key(|pod| self.0.get(*pod).copied().unwrap_or_default());
        pods.into_iter().take(count).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_busy_go_first_and_equals_by_uid() {
        let mut busy = Busy::default();
        for (pod, in_flight) in [("a", 3), ("b", 1), ("c", 2), ("b", 4)] {
            busy.add(pod, in_flight);
        }
        let pods: BTreeSet<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).into();
        let least = |count| busy.least(&pods, count).into_iter().collect::<String>();
        assert_eq!(
            [least(0), least(1), least(2), least(3), least(4), least(9)],
            ["", "d", "de", "cde", "acde", "abcde"]
        );
    }
}
