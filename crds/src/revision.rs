//! The name of a revision: a hash of the fields that a pod is made from.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{
    FunctionSpec,
    function::{ImagePullPolicy, PodOptions, Protocol, Resources, Timeouts, default_memory},
    names,
};

/// Name of the revision, and of its Deployment, of a Function with this name and spec: `NAME-HASH8`.
///
/// The hash covers the pod-relevant fields of the spec and nothing that the operator generates, so that an upgrade of
/// the operator never makes a new revision. A field at its default is left out of it: a field that a later version
/// adds does not change the hash of a Function that does not use it.
pub fn name(function: &str, spec: &FunctionSpec) -> String {
    format!("{function}-{}", hash8(Value::Object(fields(spec)).to_string().as_bytes()))
}

/// The first 8 hexadecimal digits of SHA-256: enough to tell the few versions of one thing apart.
pub fn hash8(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// The grace period of a function's pods, in seconds: as given, else the longest request and the time before the stop.
pub fn grace_seconds(spec: &FunctionSpec) -> i64 {
    let least = i64::from(spec.timeouts.request_seconds) + names::PRE_STOP_SECONDS;
    spec.pod.termination_grace_period_seconds.unwrap_or(least).max(least)
}

/// The pod-relevant fields that are not at their defaults. `serde_json`'s map is sorted, so the text is canonical.
fn fields(spec: &FunctionSpec) -> Map<String, Value> {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value, default: bool| {
        if !default {
            out.insert(key.to_owned(), value);
        }
    };
    put("image", json!(spec.image), spec.image.is_none());
    put("source", json!(spec.source), spec.source.is_none());
    put("imagePullPolicy", json!(spec.image_pull_policy), spec.image_pull_policy == ImagePullPolicy::default());
    put("command", json!(spec.command), spec.command.is_empty());
    put("args", json!(spec.args), spec.args.is_empty());
    put("env", json!(spec.env), spec.env.is_empty());
    put("envFrom", json!(spec.env_from), spec.env_from.is_empty());
    put("mounts", json!(spec.mounts), spec.mounts.is_empty());
    put("port", json!(spec.port), spec.port == 8080);
    put("protocol", json!(spec.protocol), spec.protocol == Protocol::default());
    // An image's memory has a default that belongs to the API; that of a runtime belongs to the installation.
    let own = spec.source.is_none().then(default_memory);
    let resources =
        Resources { memory: spec.resources.memory.clone().or_else(|| own.clone()), ..spec.resources.clone() };
    put("resources", json!(resources), resources == Resources { memory: own, ..Resources::default() });
    put("serviceAccountName", json!(spec.service_account_name), spec.service_account_name.is_empty());
    put("pod", json!(spec.pod), spec.pod == PodOptions::default());
    let request_seconds = spec.timeouts.request_seconds;
    put("requestSeconds", json!(request_seconds), request_seconds == Timeouts::default().request_seconds);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(extra: Value) -> FunctionSpec {
        let mut base = json!({"image": "registry.example/hello:1"});
        base.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(base).unwrap()
    }

    #[test]
    fn code_makes_a_revision() {
        let of = |source: Value| name("f", &serde_json::from_value(json!({"source": source})).unwrap());
        let base = of(json!({"runtime": "python", "inline": "a"}));
        assert_eq!(base, of(json!({"runtime": "python", "inline": "a", "entrypoint": "handler"})));
        for other in [
            json!({"runtime": "node", "inline": "a"}),
            json!({"runtime": "python", "inline": "b"}),
            json!({"runtime": "python", "inline": "a", "entrypoint": "main"}),
        ] {
            assert_ne!(base, of(other.clone()), "{other}");
        }
        // The runtime's own memory may be another one.
        let own = json!({"source": {"runtime": "python", "inline": "a"}, "resources": {"memory": "128Mi"}});
        assert_ne!(base, name("f", &serde_json::from_value(own).unwrap()));
    }

    /// A changed value here means that an upgrade restarts every function of every user.
    #[test]
    fn hash_of_a_spec_never_changes() {
        assert_eq!(name("hello", &spec(json!({}))), "hello-89f8316d");
        assert_eq!(name("hello", &spec(json!({"resources": {"cpu": "1"}}))), "hello-551fd21d");
        assert_eq!(name("hello", &spec(json!({"port": 9000, "env": [{"name": "A", "value": "1"}]}))), "hello-b46c4601");
    }

    #[test]
    fn only_what_a_pod_is_made_from_makes_a_revision() {
        let base = name("f", &spec(json!({})));
        for same in [
            json!({"scaling": {"maxReplicas": 3}}),
            json!({"queue": {"maxRequests": 3}}),
            json!({"readiness": {"path": "/ok"}}),
            json!({"timeouts": {"coldStartSeconds": 3}}),
            json!({"debug": true}),
            json!({"port": 8080, "protocol": "HTTP1", "resources": {"memory": "128Mi"}, "pod": {}}),
        ] {
            assert_eq!(name("f", &spec(same.clone())), base, "{same}");
        }
        for other in [
            json!({"image": "registry.example/hello:2"}),
            json!({"command": ["a"]}),
            json!({"args": ["a"]}),
            json!({"envFrom": [{"secretRef": {"name": "a"}}]}),
            json!({"mounts": [{"path": "/a", "secret": {"name": "a"}}]}),
            json!({"port": 1}),
            json!({"protocol": "H2C"}),
            json!({"resources": {"memory": "64Mi"}}),
            json!({"serviceAccountName": "a"}),
            json!({"pod": {"runAsUser": 7}}),
            json!({"timeouts": {"requestSeconds": 3}}),
            json!({"imagePullPolicy": "Always"}),
        ] {
            assert_ne!(name("f", &spec(other.clone())), base, "{other}");
        }
    }
}
