//! What the watch shows.

use serde_json::{Value, json};

use super::step::{Mode, Settings};

/// Longest wait of these functions, in seconds.
pub(super) const COLD_START: u64 = 5;

fn labels(function_uid: &str, revision: &str) -> Value {
    json!({"rouse.dev/function": "hello", "rouse.dev/revision": revision, "rouse.dev/function-uid": function_uid})
}

/// A Function of which this revision serves.
pub(super) fn function(namespace: &str, uid: &str, revision: &str, settings: Settings) -> crds::Function {
    let (mode, replicas) = match settings.mode {
        Mode::Auto => ("Auto", 0),
        Mode::Paused => ("Paused", 0),
        Mode::Manual(replicas) => ("Manual", replicas),
    };
    let scaling = json!({"mode": mode, "replicas": replicas, "target": settings.target,
        "targetUtilizationPercent": 100, "maxReplicas": settings.most});
    let spec = json!({"image": "i", "scaling": scaling, "queue": {"maxRequests": settings.queue},
        "timeouts": {"coldStartSeconds": COLD_START, "requestSeconds": 600}});
    let object = json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"namespace": namespace, "name": "hello", "uid": uid}, "spec": spec, "status": {"revision": revision}});
    serde_json::from_value(object).unwrap()
}

pub(super) fn deployment(
    namespace: &str,
    function_uid: &str,
    revision: &str,
    replicas: i32,
    version: u64,
) -> k8s_openapi::api::apps::v1::Deployment {
    let metadata = json!({"namespace": namespace, "name": revision, "resourceVersion": version.to_string(),
        "labels": labels(function_uid, revision)});
    let spec = json!({"replicas": replicas, "selector": {}, "template": {}});
    serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
}

/// A pod as the watch shows it.
pub(super) struct Shown<'a> {
    pub(super) namespace: &'a str,
    pub(super) function_uid: &'a str,
    pub(super) revision: &'a str,
    pub(super) uid: &'a str,
    /// The last two bytes of its address.
    pub(super) address: u16,
    pub(super) leaving: bool,
    pub(super) crashed: bool,
}

impl Shown<'_> {
    pub(super) fn object(&self) -> k8s_openapi::api::core::v1::Pod {
        let mut metadata = json!({"namespace": self.namespace, "name": self.uid, "uid": self.uid,
            "labels": labels(self.function_uid, self.revision), "creationTimestamp": "2026-01-01T00:00:00Z"});
        if self.leaving {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
        }
        let [high, low] = self.address.to_be_bytes();
        let state =
            if self.crashed { json!({"waiting": {"reason": "CrashLoopBackOff"}}) } else { json!({"running": {}}) };
        let container =
            json!({"name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        serde_json::from_value(json!({"metadata": metadata,
            "spec": {"nodeName": "n", "containers": [{"name": "function", "ports": [{"name": "http1", "containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": format!("10.1.{high}.{low}"), "containerStatuses": [container]}}))
        .unwrap()
    }
}
