//! Whether an object is as planned. The API server adds defaults and rewrites quantities, so the plan must be *in* the
//! object, not equal to it.

use std::hash::{DefaultHasher, Hash, Hasher};

use crds::Amount;
use serde_json::Value;

/// Fields whose text is a quantity: `1000m` is stored as `1`.
const QUANTITIES: &[&str] = &["memory", "cpu", "sizeLimit"];
/// What of the metadata is ours to say.
const METADATA: &[&str] = &["labels", "annotations", "ownerReferences"];
/// Maps whose keys are free: one with nothing in it is there all the same.
const MAPS: &[&str] = &["labels", "annotations"];

/// Whether every field of `want` is in `seen` with that value. Lists are compared item by item.
pub(super) fn covers(want: &Value, seen: &Value) -> bool {
    let (Some(want), Some(seen)) = (want.as_object(), seen.as_object()) else { return false };
    want.iter().all(|(key, want)| match key.as_str() {
        "metadata" => {
            METADATA.iter().all(|part| within(part, &want[*part], seen.get("metadata").and_then(|m| m.get(*part))))
        }
        "apiVersion" | "kind" | "status" => true,
        _ => within(key, want, seen.get(key)),
    })
}

fn within(key: &str, want: &Value, seen: Option<&Value>) -> bool {
    let Some(seen) = seen else {
        // The API server leaves out what is empty.
        return match want {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Object(map) => map.is_empty(),
            Value::Bool(_) | Value::Number(_) => false,
        };
    };
    match (want, seen) {
        (Value::Null, _) => true,
        (Value::Object(want), Value::Object(seen)) if MAPS.contains(&key) => {
            want.iter().all(|(key, want)| seen.get(key) == Some(want))
        }
        (Value::Object(want), Value::Object(seen)) => want.iter().all(|(key, want)| within(key, want, seen.get(key))),
        (Value::Array(want), Value::Array(seen)) => {
            want.len() == seen.len() && want.iter().zip(seen).all(|(want, seen)| within(key, want, Some(seen)))
        }
        (Value::String(want), Value::String(seen)) if want != seen && QUANTITIES.contains(&key) => {
            let milli = |text: &String| Amount(text.clone()).milli().ok();
            milli(want).is_some() && milli(want) == milli(seen)
        }
        _ => want == seen,
    }
}

/// A digest of what an apply could change: it tells whether an apply that had no effect is worth another try.
pub(super) fn digest(seen: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for part in METADATA {
        seen["metadata"][*part].to_string().hash(&mut hasher);
    }
    let mut spec = seen["spec"].clone();
    if let Some(spec) = spec.as_object_mut() {
        // The autoscaler's and the activators'.
        spec.remove("replicas");
    }
    spec.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_plan_is_in_an_object_that_has_more() {
        let want = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "a", "labels": {"a": "1"}, "annotations": {"path": ""}},
            "spec": {"limits": {"cpu": "1000m", "memory": "0.5Gi"}, "list": [{"name": "x"}], "empty": [], "none": null}
        });
        let seen = json!({
            "metadata": {"name": "a", "uid": "u", "labels": {"a": "1", "other": "2"}, "annotations": {"path": ""}},
            "spec": {"limits": {"cpu": "1", "memory": "512Mi"}, "list": [{"name": "x", "more": true}], "default": 3}
        });
        assert!(covers(&want, &seen));
        for (pointer, changed) in [
            ("/metadata/labels/a", json!("2")),
            ("/metadata/annotations", json!({"other": ""})),
            ("/spec/limits/cpu", json!("2")),
            ("/spec/list", json!([])),
            ("/spec/list/0/name", json!("y")),
            ("/spec", json!({})),
        ] {
            let mut other = seen.clone();
            *other.pointer_mut(pointer).unwrap() = changed;
            assert!(!covers(&want, &other), "{pointer}");
            assert_ne!(digest(&other), digest(&seen), "{pointer}");
        }
    }

    #[test]
    fn replicas_and_versions_are_not_in_the_digest() {
        let at = |replicas: i32, version: &str| json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas, "a": 1}});
        assert_eq!(digest(&at(0, "1")), digest(&at(5, "2")));
    }
}
