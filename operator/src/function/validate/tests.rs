use serde_json::{Value, json};

use super::*;
use crate::testing::fixtures;

fn check(spec: Value) -> Result<Valid, Invalid> {
    let read = serde_json::from_value(fixtures::function(spec)).unwrap();
    function(&Arc::new(read), &fixtures::RUNTIMES.parse().unwrap())
}

#[test]
fn what_the_schema_would_refuse_is_refused_again() {
    let table = [
        (json!({"image": ""}), "image"),
        (json!({"image": "a b"}), "image"),
        (json!({"image": null}), "exactly one of image and source"),
        (json!({"source": {"runtime": "python", "inline": "a"}}), "exactly one of image and source"),
        (json!({"image": null, "source": {"runtime": "ruby", "inline": "a"}}), "installation, which has: node, python"),
        (fixtures::source(&"é".repeat(32_769)), "65538 bytes"),
        (with(fixtures::source("a"), json!({"command": ["python3"]})), "command and args"),
        (with(fixtures::source("a"), json!({"protocol": "H2C"})), "HTTP1"),
        (
            with(fixtures::source("a"), json!({"env": [{"name": "FUNCTION_TARGET", "value": "main"}]})),
            "source.entrypoint",
        ),
        (with(fixtures::source("a"), json!({"env": [{"name": "ROUSE_SOURCE", "value": "b"}]})), "ROUSE_"),
        (json!({"port": 0}), "port 0"),
        (json!({"env": [{"name": "PORT", "value": "1"}]}), "PORT"),
        (with(fixtures::source("a"), json!({"env": [{"name": "PORT", "value": "1"}]})), "PORT: set port"),
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

fn with(mut spec: Value, more: Value) -> Value {
    json_patch::merge(&mut spec, &more);
    spec
}

#[test]
fn source_runs_in_the_image_of_its_runtime() {
    let valid = check(fixtures::source(&"é".repeat(32_768))).unwrap();
    assert_eq!(valid.image, "registry.example/python:1");
    let cores =
        |resources: Value| check(with(fixtures::source("a"), json!({"resources": resources}))).unwrap().cpu_milli;
    assert_eq!((cores(json!({})), cores(json!({"cpu": "300m"}))), (72, 300));
    assert_eq!(cores(json!({"cpu": "300m", "cpuLimit": 2})), 2000);
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
