use serde_json::{Value, json};

use super::*;
use crate::testing::fixtures;

fn check(spec: Value) -> Result<Valid, Invalid> {
    let read = serde_json::from_value(fixtures::function(spec)).unwrap();
    function(&Arc::new(read))
}

#[test]
fn what_the_schema_would_refuse_is_refused_again() {
    let table = [
        (json!({"image": ""}), "image"),
        (json!({"image": "a b"}), "image"),
        (json!({"port": 0}), "port 0"),
        (json!({"env": [{"name": "PORT", "value": "1"}]}), "PORT"),
        (json!({"scaling": {"minReplicas": 3, "maxReplicas": 2}}), "minReplicas"),
        (json!({"pod": {"labels": {"rouse.dev/function": "other"}}}), "pod.labels"),
        (json!({"pod": {"annotations": {"rouse.dev/a": "b"}}}), "pod.annotations"),
        (json!({"pod": {"runAsUser": 0}}), "root"),
        (json!({"pod": {"terminationGracePeriodSeconds": 31}}), "at least 32"),
        (json!({"resources": {"memory": "7Mi"}}), "8Mi"),
        (json!({"resources": {"memory": "much"}}), "resources.memory"),
        (json!({"resources": {"cpu": "0"}}), "at least 1m"),
        (json!({"resources": {"cpu": "100m", "cpuLimit": "100m"}}), "cpuLimit"),
        (json!({"resources": {"memory": "1769Mi", "cpuLimit": "1"}}), "cpuLimit"),
        (json!({"mounts": [{"path": "/a"}]}), "mounts[0]"),
        (json!({"mounts": [{"path": "/a", "emptyDir": {}, "secret": {"name": "s"}}]}), "exactly one"),
        (json!({"mounts": [{"path": "/a/../b", "emptyDir": {}}]}), "mounts[0].path"),
    ];
    for (spec, says) in table {
        let error = check(spec.clone()).expect_err(&spec.to_string()).to_string();
        assert!(error.contains(says), "{spec}: {error}");
    }
}

#[test]
fn names_must_make_a_host() {
    for (name, fits) in
        [("a", true), ("a-1", true), ("1a", false), ("a-", false), ("A", false), ("a.b", false), ("", false)]
    {
        assert_eq!(dns_label(name), fits, "{name}");
    }
    assert!(dns_label(&"a".repeat(50)) && !dns_label(&"a".repeat(51)));
}

#[test]
fn what_is_left_out_is_filled_in() {
    let valid = check(json!({})).unwrap();
    assert_eq!((valid.service_account.as_str(), valid.own_service_account), ("rfn-hello", true));
    assert_eq!((valid.memory.0.as_str(), valid.cpu.0.as_str(), valid.grace_seconds), ("128Mi", "72m", 32));
    let valid = check(json!({"serviceAccountName": "reader", "resources": {"cpu": 1}})).unwrap();
    assert_eq!((valid.service_account.as_str(), valid.own_service_account), ("reader", false));
    assert_eq!(valid.cpu.0, "1");
}
