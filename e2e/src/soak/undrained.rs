//! Pods that were deleted while requests were in flight at them: found by comparing when the API server took the deletion
//! with when requests were at the pod. All clocks are one machine's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::terms::Order;
use crate::load::Sample;

/// How late a client may notice the end of an answer, and the API server's record the answer to an order that controllers
/// have acted on already, in seconds.
const SLACK: f64 = 0.05;

/// A pod's deletion, as the API server took it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Deletion {
    pub(super) at: f64,
    pub(super) pod: String,
    /// The program that deleted it, with the controller's name at its end.
    pub(super) by: String,
}

/// A pod that was deleted with requests at it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Undrained {
    at: f64,
    pod: String,
    by: String,
    /// Requests at the pod when it was deleted: arrived there, and not ended.
    in_flight: usize,
    /// Of these the streams.
    streams: usize,
    /// Requests that arrived there afterwards.
    later: usize,
    /// Of all these, those that failed: the pod's grace should let them end.
    failed: usize,
    /// The last order for its Deployment before, and how long before, in seconds.
    order: Option<(i64, f64)>,
    /// How long before its Deployment was lowered last, in seconds.
    lowered: Option<f64>,
    /// Whether the drain before that should have kept it from being deleted.
    pub(super) at_fault: bool,
    /// In words, as far as it can be seen from outside.
    pub(super) why: &'static str,
}

/// The first deletion of each pod, compared with the requests at it. Gives how many pods went, and those of them that were
/// not drained. The drain is at fault where requests that had arrived were still at the pod, clearly, and the pod went for an
/// order of fewer replicas: not by the garbage collector, nor longer after the order than `limit` seconds, after which a
/// drain is given up. `orders` are in the order in which they were stored.
pub(super) fn undrained(
    deletions: &[Deletion],
    samples: &[Sample],
    orders: &[Order],
    limit: f64,
) -> (usize, Vec<Undrained>) {
    let lowerings = lowerings(orders);
    let mut at: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        if let Some(pod) = &sample.pod {
            at.entry(pod).or_default().push(sample);
        }
    }
    let mut first: BTreeMap<&str, &Deletion> = BTreeMap::new();
    for deletion in deletions {
        first.entry(&deletion.pod).or_insert(deletion);
    }
    let found = first.values().filter_map(|deletion| {
        let here = at.get(deletion.pod.as_str()).map(Vec::as_slice).unwrap_or_default();
        let arrived = |sample: &Sample| sample.arrived.unwrap_or(f64::MAX);
        let open: Vec<_> = here.iter().filter(|s| arrived(s) <= deletion.at && s.ended > deletion.at).collect();
        let later: Vec<_> = here.iter().filter(|s| s.arrived.is_some_and(|at| at > deletion.at)).collect();
        if open.is_empty() && later.is_empty() {
            return None;
        }
        let of = |order: &Order| deletion.pod.starts_with(&format!("{}-", order.deployment));
        let order = orders.iter().rfind(|order| of(order) && order.at <= deletion.at);
        let order = order.map(|order| (order.replicas, deletion.at - order.at));
        let lowered = lowerings.iter().rfind(|order| of(order) && order.at <= deletion.at + SLACK);
        let lowered = lowered.map(|order| deletion.at - order.at);
        let clearly = open.iter().any(|sample| sample.ended > deletion.at + SLACK);
        let collected = collected(&deletion.by);
        Some(Undrained {
            at: deletion.at,
            pod: deletion.pod.clone(),
            by: deletion.by.clone(),
            in_flight: open.len(),
            streams: open.iter().filter(|sample| sample.stream).count(),
            later: later.len(),
            failed: open.iter().chain(&later).filter(|sample| sample.failure.is_some()).count(),
            order,
            lowered,
            at_fault: clearly && !collected && lowered.is_some_and(|before| before <= limit),
            why: why(order, &deletion.by, open.len()),
        })
    });
    (first.len(), found.collect())
}

/// The orders of fewer replicas than the one before, or of none. Of a Deployment's first one it is not known what it was
/// before.
fn lowerings(orders: &[Order]) -> Vec<&Order> {
    let mut level: BTreeMap<&str, i64> = BTreeMap::new();
    let lower = orders.iter().filter(|order| {
        let before = level.insert(&order.deployment, order.replicas);
        order.replicas == 0 || before.is_some_and(|before| order.replicas < before)
    });
    lower.collect()
}

fn collected(by: &str) -> bool {
    by.ends_with("generic-garbage-collector")
}

fn why(order: Option<(i64, f64)>, by: &str, open: usize) -> &'static str {
    match order {
        _ if collected(by) => "its Deployment was deleted before it was drained",
        None => "nobody ordered it: deleted from outside, or evicted",
        Some((0, _)) if open == 0 => "requests came after the order to zero: an activator chose a pod that was going",
        Some((0, _)) => {
            "ordered to zero with requests at it: the drain was incomplete, or it was given up at its limit"
        }
        Some(_) if open == 0 => "requests came after the deletion: an activator chose a pod that was going",
        Some(_) => {
            "fewer replicas were ordered and another pod went than those drained, or the drain was given up at its limit"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(arrived: f64, ended: f64, stream: bool) -> Sample {
        Sample { pod: Some("f-1-x".to_owned()), arrived: Some(arrived), ended, stream, ..Sample::default() }
    }

    fn deletion(at: f64) -> Deletion {
        Deletion { at, pod: "f-1-x".to_owned(), by: "replicaset-controller".to_owned() }
    }

    fn order(at: f64, replicas: i64) -> Order {
        Order { at, deployment: "f-1".to_owned(), pod: "op".to_owned(), replicas }
    }

    const LIMIT: f64 = 60.0;

    fn found(deletion: Deletion, sample: Sample, orders: &[Order]) -> (usize, Vec<Undrained>) {
        undrained(&[deletion], &[sample], orders, LIMIT)
    }

    #[test]
    fn a_pod_whose_requests_had_ended_was_drained() {
        assert_eq!(found(deletion(5.0), sample(1.0, 4.9, false), &[order(1.0, 2), order(4.95, 1)]), (1, Vec::new()));
    }

    #[test]
    fn requests_at_it_and_later_ones_are_told_apart() {
        let samples =
            [sample(1.0, 30.0, true), sample(4.0, 5.5, false), sample(6.0, 6.1, false), sample(1.0, 2.0, false)];
        let (went, found) =
            undrained(&[deletion(5.0), deletion(7.0)], &samples, &[order(1.0, 9), order(4.5, 2)], LIMIT);
        assert_eq!((went, found.len()), (1, 1));
        assert_eq!((found[0].in_flight, found[0].streams, found[0].later, found[0].failed), (2, 1, 1, 0));
        assert_eq!((found[0].order, found[0].lowered), (Some((2, 0.5)), Some(0.5)));
        assert!(found[0].at_fault);
    }

    #[test]
    fn a_request_at_a_pod_that_an_order_took_is_the_drains_fault() {
        let at_fault = |orders: &[Order]| found(deletion(5.0), sample(1.0, 9.0, false), orders).1[0].at_fault;
        assert!(at_fault(&[order(1.0, 3), order(4.9, 2)]));
        assert!(at_fault(&[order(4.9, 0)]), "zero is fewer than anything");
        assert!(at_fault(&[order(1.0, 3), order(4.9, 2), order(4.95, 5)]), "a raise does not bring the pod back");
        assert!(at_fault(&[order(1.0, 3), order(5.03, 2)]), "acted on before it was answered");
        assert!(!at_fault(&[order(1.0, 3), order(5.1, 2)]), "the order came later");
        assert!(!at_fault(&[order(1.0, 3), order(4.9, 5)]), "it was raised");
        assert!(!at_fault(&[order(4.9, 2)]), "from what is not known");
        assert!(!at_fault(&[]));
    }

    #[test]
    fn what_a_drain_does_not_answer_for_is_found_and_not_its_fault() {
        let orders = [order(1.0, 3), order(4.75, 2)];
        let long = sample(1.0, 90.0, true);
        let late = deletion(4.75 + LIMIT + 1.0);
        assert!(found(deletion(4.75 + LIMIT), long.clone(), &orders).1[0].at_fault);
        assert!(!found(late, long.clone(), &orders).1[0].at_fault, "older than the drain's limit");
        let collected = Deletion { by: "x/generic-garbage-collector".to_owned(), ..deletion(5.0) };
        assert!(!found(collected, long, &orders).1[0].at_fault);
        assert!(!found(deletion(5.0), sample(1.0, 5.04, false), &orders).1[0].at_fault, "within the client's slack");
        assert!(found(deletion(5.0), sample(1.0, 5.06, false), &orders).1[0].at_fault);
        assert!(!found(deletion(5.0), sample(5.5, 9.0, false), &orders).1[0].at_fault, "it came afterwards");
    }

    #[test]
    fn another_revisions_order_explains_nothing() {
        let other = Order { deployment: "f-2".to_owned(), ..order(4.0, 0) };
        let (_, found) = found(deletion(5.0), sample(1.0, 9.0, false), &[other]);
        assert!(found[0].order.is_none() && found[0].why.starts_with("nobody") && !found[0].at_fault);
    }
}
