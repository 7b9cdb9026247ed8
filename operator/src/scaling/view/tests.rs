use std::collections::HashSet;

use crds::Reason;
use kube::{Resource, runtime::reflector::ObjectRef};
use runtime::failure::Failure;
use serde_json::{Value, json};

use super::*;
use crate::{failure::Terms, scaling::tests::Cluster};

fn deployment(name: &str, uid: &str, replicas: i32) -> Value {
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("d-{name}"), "generation": 4, "resourceVersion": "40",
            "labels": {labels::FUNCTION: "f", labels::REVISION: name, labels::FUNCTION_UID: uid},
        },
        "spec": {
            "replicas": replicas,
            "selector": {},
            "template": {"spec": {"containers": [], "terminationGracePeriodSeconds": 47}},
        },
    })
}

fn pod(name: &str, revision: &str, phase: &str, leaving: bool) -> Value {
    let mut pod = json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": name,
            "labels": {labels::FUNCTION: "f", labels::REVISION: revision, labels::FUNCTION_UID: "uf"},
        },
        "status": {"phase": phase},
    });
    if leaving {
        pod["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    }
    pod
}

fn function(serving: &str) -> Value {
    json!({
        "metadata": {"name": "f", "namespace": "shop", "uid": "uf"},
        "spec": {"image": "a", "scaling": {"windowSeconds": 10, "minReplicas": 1}, "timeouts": {"requestSeconds": 30}},
        "status": {"revision": serving},
    })
}

#[test]
fn the_goal_is_that_of_the_spec_with_the_defaults_that_its_description_tells() {
    let table = [
        (json!({}), 100.0, 70.0),
        (json!({"target": 8, "targetUtilizationPercent": 50}), 8.0, 4.0),
        (json!({"metric": "RequestsPerSecond"}), 200.0, 140.0),
        (json!({"metric": "RequestsPerSecond", "target": 8, "targetUtilizationPercent": 100}), 8.0, 8.0),
    ];
    for (scaling, total, each) in table {
        let goal = scale::Goal::of(&settings(&serde_json::from_value(scaling.clone()).unwrap()));
        assert_eq!((goal.total, goal.goal), (total, each), "{scaling}");
    }
}

fn key() -> Key {
    ObjectRef::new("f").within("shop")
}

fn verdict(revision: &str, pods: &[&str]) -> Verdict {
    Verdict {
        key: key(),
        function_uid: "uf".to_owned(),
        revision: revision.to_owned(),
        pod_uids: pods.iter().map(|pod| (*pod).to_owned()).collect(),
        failure: Failure::new(Reason::CrashLoop, "it crashes"),
        from_events: false,
        of_boost: false,
        terms: Terms::default(),
    }
}

fn candidate() -> String {
    let function: Function = serde_json::from_value(with_kind::<Function>(function(""))).unwrap();
    revision::name("f", &function.spec)
}

fn with_kind<K: Resource<DynamicType = ()>>(mut object: Value) -> Value {
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    object
}

#[test]
fn a_function_is_read_with_its_own_revisions_and_pods_only() {
    let cluster = Cluster::new();
    assert!(View::read(&cluster.stores, &key(), |_, _| None, |_| false, |_| 0).is_none());
    cluster.function(function("f-old"));
    cluster.deployment(deployment("f-old", "uf", 2));
    cluster.deployment(deployment(&candidate(), "uf", 1));
    cluster.deployment(deployment("f-older", "uf", 0));
    cluster.deployment(deployment("f-of-an-earlier-function", "ux", 1));
    cluster.pod(pod("a", "f-old", "Running", false));
    cluster.pod(pod("b", "f-old", "Running", true));
    cluster.pod(pod("c", "f-old", "Succeeded", false));
    cluster.pod(pod("d", &candidate(), "Pending", false));
    let view = View::read(&cluster.stores, &key(), |_, _| None, |_| false, |_| 0).unwrap();
    let settings = Settings { stable_window: Duration::from_secs(10), min: 1, ..Settings::default() };
    assert_eq!((view.fixed, view.floor(), view.settings), (None, 1, settings));
    let roles: HashSet<_> = view.revisions.iter().map(|r| (r.name.clone(), format!("{:?}", r.role))).collect();
    let expected = [("f-old".to_owned(), "Serving"), (candidate(), "Candidate"), ("f-older".to_owned(), "Retired")];
    assert_eq!(roles, expected.map(|(name, role)| (name, role.to_owned())).into());
    let serving = view.serving().unwrap();
    assert_eq!((serving.replicas, serving.generation, serving.version.as_str()), (2, 4, "40"));
    assert_eq!(serving.linger, Duration::from_secs(47), "the grace period, which is longer than the longest request");
    assert_eq!((serving.pods.len(), serving.leaving.len()), (1, 1));
}

#[test]
fn nothing_is_decided_about_a_function_that_is_being_deleted() {
    let cluster = Cluster::new();
    let mut leaving = function("f-old");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    cluster.function(leaving);
    assert!(View::read(&cluster.stores, &key(), |_, _| None, |_| false, |_| 0).is_none());
}

#[test]
fn a_verdict_counts_while_it_is_about_the_pods_that_are_there() {
    let failed = |role: &str, verdict: Verdict, ready: bool| {
        let cluster = Cluster::new();
        let name = if role == "candidate" { candidate() } else { "f-old".to_owned() };
        cluster.function(function("f-old"));
        cluster.deployment(deployment(&name, "uf", 1));
        cluster.pod(pod("a", &name, "Running", false));
        let of = |uid: &str, revision: &str| (uid == "uf" && revision == name).then(|| verdict.clone());
        View::read(&cluster.stores, &key(), of, |_| ready, |_| 0).unwrap().revisions[0].failed
    };
    assert!(failed("serving", verdict("f-old", &["a"]), false));
    assert!(failed("serving", verdict("f-old", &[]), false), "there was no pod to fail");
    assert!(!failed("serving", verdict("f-old", &["an earlier pod"]), false));
    assert!(!failed("serving", verdict("f-old", &["a"]), true), "an activator has it for ready");
    assert!(failed("candidate", verdict("f-new", &[]), true), "a candidate serves nobody");
}

#[test]
fn schedules_ask_for_more_than_the_least_in_mode_auto_only() {
    let read = |scaling: Value, asked: i32| {
        let cluster = Cluster::new();
        let mut function = function("f-old");
        function["spec"]["scaling"] = scaling;
        cluster.function(function);
        let scheduled = |schedules: &[Schedule]| if schedules.is_empty() { 0 } else { asked };
        let view = View::read(&cluster.stores, &key(), |_, _| None, |_| false, scheduled).unwrap();
        (view.floor(), view.settings.min)
    };
    let schedules = json!([{"cron": "0 8 * * *", "durationSeconds": 60, "minReplicas": 3}]);
    assert_eq!(read(json!({"schedules": schedules, "minReplicas": 2}), 3), (3, 3));
    assert_eq!(read(json!({"schedules": schedules, "minReplicas": 2}), 0), (2, 2));
    assert_eq!(read(json!({"schedules": schedules, "maxReplicas": 2}), 3).0, 2, "never above maxReplicas");
    assert_eq!(read(json!({"schedules": schedules, "mode": "Manual", "replicas": 1}), 3).0, 1);
    assert_eq!(read(json!({"schedules": schedules, "mode": "Paused"}), 3).0, 0);
}

#[test]
fn pods_that_kubernetes_counts_and_the_store_does_not_show_are_hidden() {
    let hidden = |counted: Option<i32>| {
        let cluster = Cluster::new();
        cluster.function(function("f-old"));
        let mut of_two = deployment("f-old", "uf", 2);
        of_two["status"] = json!({"replicas": counted});
        cluster.deployment(of_two);
        cluster.pod(pod("a", "f-old", "Running", false));
        // Kubernetes counts neither.
        cluster.pod(pod("b", "f-old", "Running", true));
        cluster.pod(pod("c", "f-old", "Failed", false));
        View::read(&cluster.stores, &key(), |_, _| None, |_| false, |_| 0).unwrap().revisions[0].hidden
    };
    assert_eq!([None, Some(0), Some(1), Some(2), Some(3)].map(hidden), [0, 0, 0, 1, 2]);
}
