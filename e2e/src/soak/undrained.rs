//! Pods that were deleted while requests were in flight at them: found by comparing when the API server took the deletion
//! with when requests were at the pod. All clocks are one machine's.

use std::collections::BTreeMap;

use serde::Serialize;

use super::terms::Order;
use crate::load::Sample;

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
    /// In words, as far as it can be seen from outside.
    why: &'static str,
}

/// The first deletion of each pod, compared with the requests at it. Gives how many pods went, and those of them that were
/// not drained.
pub(super) fn undrained(deletions: &[Deletion], samples: &[Sample], orders: &[Order]) -> (usize, Vec<Undrained>) {
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
        let of =
            |order: &&Order| deletion.pod.starts_with(&format!("{}-", order.deployment)) && order.at <= deletion.at;
        let order = orders.iter().rfind(of).map(|order| (order.replicas, deletion.at - order.at));
        Some(Undrained {
            at: deletion.at,
            pod: deletion.pod.clone(),
            by: deletion.by.clone(),
            in_flight: open.len(),
            streams: open.iter().filter(|sample| sample.stream).count(),
            later: later.len(),
            failed: open.iter().chain(&later).filter(|sample| sample.failure.is_some()).count(),
            order,
            why: why(order, &deletion.by, open.len()),
        })
    });
    (first.len(), found.collect())
}

fn why(order: Option<(i64, f64)>, by: &str, open: usize) -> &'static str {
    match order {
        _ if by.ends_with("generic-garbage-collector") => "its Deployment was deleted before it was drained",
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

    #[test]
    fn a_pod_whose_requests_had_ended_was_drained() {
        assert_eq!(undrained(&[deletion(5.0)], &[sample(1.0, 4.9, false)], &[order(4.95, 1)]), (1, Vec::new()));
    }

    #[test]
    fn requests_at_it_and_later_ones_are_told_apart() {
        let samples =
            [sample(1.0, 30.0, true), sample(4.0, 5.5, false), sample(6.0, 6.1, false), sample(1.0, 2.0, false)];
        let (went, found) = undrained(&[deletion(5.0), deletion(7.0)], &samples, &[order(1.0, 9), order(4.5, 2)]);
        assert_eq!((went, found.len()), (1, 1));
        assert_eq!((found[0].in_flight, found[0].streams, found[0].later, found[0].failed), (2, 1, 1, 0));
        assert_eq!(found[0].order, Some((2, 0.5)));
    }

    #[test]
    fn another_revisions_order_explains_nothing() {
        let other = Order { deployment: "f-2".to_owned(), ..order(4.0, 0) };
        let (_, found) = undrained(&[deletion(5.0)], &[sample(1.0, 9.0, false)], &[other]);
        assert!(found[0].order.is_none() && found[0].why.starts_with("nobody"));
    }
}
