//! The complete CRDs: what `derive` gives, plus list types, CEL rules, short descriptions of Kubernetes' own types,
//! columns and the default status.

use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::{
    Function, Trigger,
    rules::{self, Rule},
};

/// Lists that are not atomic: where they stand, and the keys of a map list (none = a set).
const LISTS: &[(&str, &[&str])] = &[
    ("spec.env", &["name"]),
    ("spec.mounts", &["path"]),
    ("spec.http.hosts", &[]),
    ("spec.http.methods", &[]),
    ("status.conditions", &["type"]),
];

/// Subtrees that are Kubernetes' own types, and their names there. With Kubernetes' own descriptions affinity alone
/// would take 60 KB of the CRD.
pub(crate) const FOREIGN: &[(&str, &str)] = &[
    ("spec.env[]", "EnvVar"),
    ("spec.envFrom[]", "EnvFromSource"),
    ("spec.pod.affinity", "Affinity"),
    ("spec.pod.tolerations[]", "Toleration"),
    ("spec.pod.topologySpreadConstraints[]", "TopologySpreadConstraint"),
    ("spec.pod.imagePullSecrets[]", "LocalObjectReference"),
    ("status.conditions[]", "Condition"),
];

/// Bounds that Kubernetes' own types lack and the cost estimate of our CEL rules needs: where, key, value.
const BOUNDS: &[(&str, &str, i64)] = &[
    ("spec.env[].name", "maxLength", 256),
    ("spec.env[].value", "maxLength", 131_072),
    ("spec.pod.nodeSelector", "maxProperties", 32),
    ("spec.pod.labels", "maxProperties", 32),
    ("spec.pod.labels[]", "maxLength", 63),
    ("spec.pod.annotations", "maxProperties", 32),
];

/// The CRD of `Function`, as JSON.
///
/// # Errors
/// When a path in a table of this module or of [`rules`] names no field.
pub fn function() -> Result<Value, String> {
    let columns = json!([
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether the next request will be served, warm or cold."},
        {"name": "Active", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Active\")].status", "description": "Whether a pod is wanted."},
        {"name": "Replicas", "type": "integer", "jsonPath": ".status.replicas", "description": "Replicas wanted."},
        {"name": "URL", "type": "string", "jsonPath": ".status.url", "description": "Address outside the cluster."},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation."},
        {"name": "Image", "type": "string", "priority": 1, "jsonPath": ".spec.image", "description": "Container image."},
        {"name": "Runtime", "type": "string", "priority": 1, "jsonPath": ".spec.source.runtime", "description": "What runs the source."},
        {"name": "Min", "type": "integer", "priority": 1, "jsonPath": ".spec.scaling.minReplicas", "description": "Least replicas."},
        {"name": "Max", "type": "integer", "priority": 1, "jsonPath": ".spec.scaling.maxReplicas", "description": "Most replicas."},
        {"name": "Revision", "type": "string", "priority": 1, "jsonPath": ".status.revision", "description": "Revision that serves."},
        {"name": "Reason", "type": "string", "priority": 1, "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Reason of Ready."},
    ]);
    complete(serde_json::to_value(Function::crd()), rules::FUNCTION, columns)
}

/// The CRD of `Trigger`, as JSON.
///
/// # Errors
/// As [`function`].
pub fn trigger() -> Result<Value, String> {
    let columns = json!([
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status", "description": "Whether the routes are in force."},
        {"name": "Function", "type": "string", "jsonPath": ".spec.functionRef.name", "description": "The Function."},
        {"name": "Hosts", "type": "string", "jsonPath": ".spec.http.hosts", "description": "Host names."},
        {"name": "Path", "type": "string", "jsonPath": ".spec.http.path.value", "description": "Path."},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp", "description": "Time since creation."},
        {"name": "Reason", "type": "string", "priority": 1, "jsonPath": ".status.conditions[?(@.type==\"Ready\")].reason", "description": "Reason of Ready."},
    ]);
    complete(serde_json::to_value(Trigger::crd()), rules::TRIGGER, columns)
}

fn complete(crd: serde_json::Result<Value>, rules: &[Rule], columns: Value) -> Result<Value, String> {
    let mut crd = crd.map_err(|e| e.to_string())?;
    let version =
        crd.pointer_mut("/spec/versions/0").and_then(Value::as_object_mut).ok_or("a CRD without a version")?;
    version.insert("additionalPrinterColumns".to_owned(), columns);
    let root = version
        .get_mut("schema")
        .and_then(|schema| schema.get_mut("openAPIV3Schema"))
        .and_then(Value::as_object_mut)
        .ok_or("a CRD without a schema")?;
    tidy(root);
    if let Some(spec) = at(root, "spec") {
        spec.insert("description".to_owned(), json!("What is wanted."));
    }
    for (path, kind) in FOREIGN {
        if let Some(node) = at(root, path) {
            let own = node.get("description").cloned();
            redescribe(node, kind);
            if let Some(own) = own.filter(|_| !path.ends_with("[]")) {
                node.insert("description".to_owned(), own);
            }
        }
    }
    for (path, keys) in LISTS {
        if let Some(node) = at(root, path) {
            let kind = if keys.is_empty() { "set" } else { "map" };
            node.insert("x-kubernetes-list-type".to_owned(), json!(kind));
            if !keys.is_empty() {
                node.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            }
        }
    }
    for (path, key, value) in BOUNDS {
        if let Some(node) = at(root, path) {
            node.insert((*key).to_owned(), json!(value));
        }
    }
    for rule in rules {
        let node = at(root, rule.path).ok_or_else(|| format!("no field {:?} for the rule {}", rule.path, rule.cel))?;
        let entry = node.entry("x-kubernetes-validations").or_insert_with(|| json!([]));
        if let Some(list) = entry.as_array_mut() {
            // CEL in a table is written with doubled backslashes, as CEL's own string literals want them.
            list.push(json!({"rule": rule.cel, "message": rule.message}));
        }
    }
    // kstatus, `kubectl wait` and Helm take an object without this for finished before anybody has looked at it.
    let status = at(root, "status").ok_or("a CRD without a status")?;
    status.insert("default".to_owned(), json!({"observedGeneration": -1}));
    Ok(crd)
}

/// The schema node at a path such as `spec.env[].name`; `[]` stands for the items of a list and the values of a map.
fn at<'a>(root: &'a mut Map<String, Value>, path: &str) -> Option<&'a mut Map<String, Value>> {
    let mut node = root;
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (field, items) = part.strip_suffix("[]").map_or((part, false), |field| (field, true));
        node = node.get_mut("properties")?.get_mut(field)?.as_object_mut()?;
        if items {
            let below = if node.contains_key("items") { "items" } else { "additionalProperties" };
            node = node.get_mut(below)?.as_object_mut()?;
        }
    }
    Some(node)
}

/// Children of a schema node: properties, items and values of a map.
fn children(node: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    node.iter_mut().flat_map(|(key, value)| -> Vec<&mut Map<String, Value>> {
        match key.as_str() {
            "properties" => {
                value.as_object_mut().into_iter().flatten().filter_map(|(_, v)| v.as_object_mut()).collect()
            }
            "items" | "additionalProperties" => value.as_object_mut().into_iter().collect(),
            _ => Vec::new(),
        }
    })
}

/// On every node: one-line descriptions, `atomic` for lists that [`LISTS`] does not name, plain numbers as bounds.
fn tidy(node: &mut Map<String, Value>) {
    if let Some(Value::String(text)) = node.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    // Without `nullable` the API server drops a null instead of keeping it, so that `has()` in a rule means a value.
    node.remove("nullable");
    if node.contains_key("x-kubernetes-int-or-string") {
        node.remove("anyOf");
    }
    if node.get("type") == Some(&json!("array")) {
        node.entry("x-kubernetes-list-type").or_insert_with(|| json!("atomic"));
    }
    // A `oneOf` of constants, which schemars makes of documented enums, is not structural: the API server wants `enum`.
    if let Some(Value::Array(variants)) = node.get("oneOf") {
        let values: Vec<Value> = variants
            .iter()
            .filter_map(|v| v.get("const").or_else(|| v.get("enum").and_then(|e| e.get(0))))
            .cloned()
            .collect();
        if values.len() == variants.len() {
            node.remove("oneOf");
            node.insert("type".to_owned(), json!("string"));
            node.insert("enum".to_owned(), Value::Array(values));
        }
    }
    for child in children(node) {
        tidy(child);
    }
}

/// Replaces every description below a Kubernetes type by one line.
fn redescribe(node: &mut Map<String, Value>, kind: &str) {
    node.insert("description".to_owned(), json!(format!("Kubernetes' {kind}.")));
    if let Some(Value::Object(properties)) = node.get_mut("properties") {
        for (name, child) in properties.iter_mut().filter_map(|(name, v)| Some((name, v.as_object_mut()?))) {
            redescribe(child, kind);
            child.insert("description".to_owned(), json!(format!("{name}, as in Kubernetes' {kind}.")));
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = node.get_mut(key).and_then(Value::as_object_mut) {
            redescribe(child, kind);
        }
    }
}
