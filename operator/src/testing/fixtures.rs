//! Objects for tests.

use std::sync::Arc;

use crds::{Function, labels};
use serde_json::{Value, json};

use crate::function::validate::{self, Valid};

/// UID of the Function of [`function`].
pub(crate) const UID: &str = "11111111-0000-0000-0000-000000000000";

/// A Function `hello` in namespace `shop`, as the API server has it; `spec` is merged into a minimal one.
pub(crate) fn function(spec: Value) -> Value {
    let mut base = json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": "hello", "namespace": "shop", "uid": UID, "generation": 1, "resourceVersion": "1"},
        "spec": {"image": "registry.example/hello:1"},
    });
    json_patch::merge(&mut base["spec"], &spec);
    base
}

/// What runs source.
pub(crate) const RUNTIMES: &str = r#"{
    "python": {"image": "registry.example/python:1"},
    "node": {
        "image": "registry.example/node:1",
        "resources": {"memory": "256Mi", "cpu": "50m"},
        "env": {"OPTIONS": "--heap=$(ROUSE_HEAP_MIB)"}
    }
}"#;

/// A spec with this code in place of the image.
pub(crate) fn source(inline: &str) -> Value {
    json!({"image": null, "source": {"runtime": "python", "inline": inline}})
}

/// The same, checked.
pub(crate) fn valid(spec: Value) -> Valid {
    let function: Function = serde_json::from_value(function(spec)).unwrap();
    validate::function(&Arc::new(function), &RUNTIMES.parse().unwrap()).unwrap()
}

/// A pod of a revision of that Function, running.
pub(crate) fn pod(revision: &str, uid: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": uid, "namespace": "shop", "uid": uid, "resourceVersion": "1",
            "labels": {labels::FUNCTION: "hello", labels::REVISION: revision, labels::FUNCTION_UID: UID},
        },
        "status": {
            "phase": "Running", "podIP": "10.0.0.1",
            "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [container(json!({"running": {}}))],
        },
    })
}

/// The status of a function's container in that state.
pub(crate) fn container(state: Value) -> Value {
    json!({"name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}
