//! Who led when, and whether anybody wrote as a leader who was one no more. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A term: a pod held the Lease from some moment on, until the next one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Term {
    /// Seconds of the run.
    pub(super) began: f64,
    /// The pod.
    pub(super) pod: String,
}

/// A write of a `/scale` that was done.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Order {
    /// When it was stored.
    pub(super) at: f64,
    /// The Deployment.
    pub(super) deployment: String,
    /// The operator's pod that wrote; empty for a wake by an activator.
    pub(super) pod: String,
    pub(super) replicas: i64,
}

/// A leader knows that it leads before the watch says so here, by this much at most, in seconds.
const AHEAD: f64 = 1.0;

/// What the orders of leaders show.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// Orders that lowered something.
    pub(super) lowering: usize,
    /// Places of the terms in which there was one.
    pub(super) busy: BTreeSet<usize>,
    /// Lowering orders by an ex-leader: a pod whose last term was followed by that of another, which had written the same
    /// Deployment before.
    pub(super) late: Vec<Order>,
}

/// Looks through all orders in the order in which they were stored.
pub(super) fn belated(terms: &[Term], orders: &[Order]) -> Found {
    let mut orders = orders.to_vec();
    orders.sort_by(|a, b| a.at.total_cmp(&b.at));
    // For each Deployment what it is at, and the latest term that wrote it.
    let mut seen: BTreeMap<&str, (i64, Option<usize>)> = BTreeMap::new();
    let mut found = Found::default();
    for order in &orders {
        let (before, latest) = seen.get(order.deployment.as_str()).copied().unwrap_or((0, None));
        let term = terms.iter().rposition(|term| term.pod == order.pod && term.began <= order.at + AHEAD);
        if !order.pod.is_empty() && order.replicas < before {
            found.lowering += 1;
            found.busy.extend(term);
            // One that never led has no business there either.
            if term < latest || term.is_none() {
                found.late.push(order.clone());
            }
        }
        let latest = if order.pod.is_empty() { latest } else { latest.max(term) };
        seen.insert(&order.deployment, (order.replicas, latest));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> Vec<Term> {
        [(0.0, "a"), (20.0, "b"), (40.0, "a")].map(|(began, pod)| Term { began, pod: pod.to_owned() }).to_vec()
    }

    fn order(at: f64, pod: &str, replicas: i64) -> Order {
        Order { at, deployment: "f".to_owned(), pod: pod.to_owned(), replicas }
    }

    #[test]
    fn lowering_in_ones_own_term_is_right_also_in_a_second_one() {
        let orders = [order(1.0, "", 3), order(2.0, "a", 2), order(25.0, "b", 1), order(45.0, "a", 0)];
        let busy = BTreeSet::from([0, 1, 2]);
        assert_eq!(belated(&terms(), &orders), Found { lowering: 3, busy, late: Vec::new() });
    }

    #[test]
    fn a_frozen_leader_that_goes_on_is_found() {
        let late = order(30.0, "a", 0);
        let orders = [order(1.0, "", 3), order(25.0, "b", 2), late.clone()];
        let busy = BTreeSet::from([0, 1]);
        assert_eq!(belated(&terms(), &orders), Found { lowering: 2, busy, late: vec![late] });
    }

    #[test]
    fn before_the_successor_has_written_it_is_harmless_and_so_is_a_raise() {
        let orders = [order(1.0, "", 3), order(21.0, "a", 2), order(25.0, "b", 1), order(30.0, "a", 4)];
        assert_eq!(belated(&terms(), &orders).late, []);
    }

    #[test]
    fn one_that_never_led_is_found() {
        let orders = [order(1.0, "", 3), order(2.0, "c", 0)];
        assert_eq!(belated(&terms(), &orders).late.len(), 1);
    }
}
