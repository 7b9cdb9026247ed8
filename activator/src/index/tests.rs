use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crds::route::Domains;
use link::v1::{Drain, Orders};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Index, Probe};
use crate::link::Beacon;
use crate::pods::Pod;
use crate::routes::Table;

pub(super) fn index() -> Index {
    let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    Index::new(Arc::new(Table::new(domains)), Arc::new(Beacon::default()))
}

pub(super) fn function(index: &Index, uid: &str, revision: &str) -> Vec<Probe> {
    let object = json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"namespace": "shop", "name": "hello", "uid": uid},
        "spec": {"image": "i"}, "status": {"revision": revision},
    });
    index.function_applied(&serde_json::from_value(object).unwrap()).1
}

pub(super) fn labels(function_uid: &str, revision: &str) -> Value {
    json!({"rouse.dev/function": "hello", "rouse.dev/revision": revision, "rouse.dev/function-uid": function_uid})
}

fn pod(index: &Index, uid: &str, revision: &str, ip: Option<&str>, created: u32) -> Option<Probe> {
    let object = json!({
        "metadata": {"namespace": "shop", "name": uid, "uid": uid, "labels": labels("f", revision),
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z")},
        "spec": {"containers": [{"name": "function", "env": [{"name": "PORT", "value": "9000"}]}]},
        "status": {"phase": "Pending", "podIP": ip},
    });
    index.pod_applied(&serde_json::from_value(object).unwrap(), Instant::now())
}

pub(super) fn find(index: &Index, uid: &str) -> Arc<Pod> {
    index.pods().into_iter().find(|pod| *pod.uid == *uid).unwrap()
}

pub(super) fn serving(index: &Index) -> Vec<String> {
    let functions = index.functions();
    functions[0].serving.load().iter().map(|pod| pod.uid.to_string()).collect()
}

fn drains(epoch: u64, order: u64, pods: &[&str]) -> Orders {
    let pod_uids = pods.iter().map(|uid| (*uid).to_owned()).collect();
    Orders {
        epoch,
        drains: vec![Drain { function_uid: "f".into(), order, pod_uids, valid_ms: 5000 }],
        ..Orders::default()
    }
}

#[tokio::test]
async fn only_pods_of_the_serving_revision_serve() {
    let index = index();
    function(&index, "f", "r1");
    pod(&index, "b", "r1", None, 2);
    pod(&index, "a", "r1", None, 1);
    pod(&index, "c", "r2", None, 3);
    assert_eq!(serving(&index), ["a", "b"]);
    function(&index, "f", "r2");
    assert_eq!(serving(&index), ["c"]);
    index.pod_gone("c", Instant::now());
    assert!(serving(&index).is_empty());
}

#[tokio::test]
async fn the_order_in_which_objects_are_seen_does_not_matter() {
    let index = index();
    assert!(pod(&index, "a", "r1", Some("10.0.0.1"), 1).is_none(), "nobody knows yet whose it is");
    let probes = function(&index, "f", "r1");
    assert_eq!(&*probes[0].pod.uid, "a");
    assert_eq!(probes[0].pod.pool().unwrap().target().address, "10.0.0.1:9000".parse().unwrap());
    assert_eq!(serving(&index), ["a"]);
    assert!(pod(&index, "a", "r1", Some("10.0.0.1"), 1).is_none(), "one probe is enough");
}

#[tokio::test]
async fn a_function_made_anew_is_another_one() {
    let index = index();
    function(&index, "f0", "r1");
    let before = index.functions()[0].clone();
    pod(&index, "a", "r1", None, 1);
    function(&index, "f", "r1");
    assert_eq!(index.functions().len(), 1);
    assert_eq!(serving(&index), ["a"], "by the label with the UID");
    assert!(matches!(before.enter(tokio::time::Instant::now(), false), crate::hold::Entry::Refused(_)));
    let old = serde_json::from_value(json!({"namespace": "shop", "name": "hello", "uid": "f0"})).unwrap();
    assert!(!index.function_gone(&old), "a late word on the earlier one");
    assert_eq!(index.functions().len(), 1);
}

#[tokio::test]
async fn orders_are_state() {
    let index = index();
    function(&index, "f", "r1");
    pod(&index, "a", "r1", None, 1);
    let now = Instant::now();
    let drained = |uid: &str| find(&index, uid).slots.read().drained;

    index.obey(&drains(2, 1, &["a", "b"]), now);
    assert!(drained("a"));
    pod(&index, "b", "r1", None, 2);
    assert!(drained("b"), "drained from the moment it appears");

    index.obey(&drains(1, 9, &[]), now);
    assert!(drained("a"), "an earlier leader has no say");
    index.obey(&drains(2, 2, &["b"]), now);
    assert_eq!((drained("a"), drained("b")), (false, true));
    index.lapse(now + Duration::from_millis(4999));
    assert!(drained("b"));
    index.lapse(now + Duration::from_millis(5000));
    assert!(!drained("b"));
    assert!(index.acks().is_empty());

    index.obey(&drains(3, 1, &["a"]), now);
    assert_eq!(index.acks()[0].epoch, 3);
    index.obey(&Orders { epoch: 3, ..Orders::default() }, now);
    assert!(!drained("a"));
}

#[tokio::test]
async fn an_acknowledgement_counts_after_the_flags() {
    let index = index();
    function(&index, "f", "r1");
    pod(&index, "a", "r1", None, 1);
    let a = find(&index, "a");
    assert!(a.slots.take());
    index.obey(&drains(1, 1, &["a"]), Instant::now());
    assert_eq!(index.acks()[0].in_flight, 1);
    assert!(!a.slots.take());
    a.slots.free();
    assert_eq!(index.acks()[0].in_flight, 0);
}

#[tokio::test]
async fn a_deployment_made_anew_for_another_function_of_the_name_leaves_nothing_behind() {
    let index = index();
    for uid in ["f0", "f"] {
        // No word of its deletion in between.
        let deployment = json!({"metadata": {"namespace": "shop", "name": "r1", "labels": labels(uid, "r1")},
            "spec": {"replicas": 0, "selector": {}, "template": {}}});
        index.deployment_applied(&serde_json::from_value(deployment).unwrap());
    }
    assert_eq!(index.lock().entries.keys().map(|uid| &**uid).collect::<Vec<_>>(), ["f"]);
    index.deployments_are(&HashSet::new());
    assert!(index.lock().entries.is_empty());
}

#[tokio::test]
async fn a_new_list_ends_what_it_does_not_name() {
    let index = index();
    function(&index, "f", "r1");
    pod(&index, "a", "r1", None, 1);
    pod(&index, "b", "r1", None, 2);
    let deployment = json!({"metadata": {"namespace": "shop", "name": "r1", "labels": labels("f", "r1")},
        "spec": {"replicas": 2, "selector": {}, "template": {}}});
    index.deployment_applied(&serde_json::from_value(deployment).unwrap());
    assert_eq!(index.functions()[0].workload.load().as_ref().unwrap().replicas, 2);

    index.pods_are(&HashSet::from(["b".to_owned()]), Instant::now());
    assert_eq!(serving(&index), ["b"]);
    index.deployments_are(&HashSet::new());
    assert!(index.functions()[0].workload.load().is_none());
    assert!(index.functions_are(&HashSet::new()));
    index.pods_are(&HashSet::new(), Instant::now());
    assert!(index.functions().is_empty() && index.lock().entries.is_empty() && index.lock().addresses.is_empty());
}
