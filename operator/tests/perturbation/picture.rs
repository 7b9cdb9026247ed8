//! What is left in the end, without what differs from run to run: times, UIDs, versions, and the names of pods. Events are
//! left out: they are best effort, and a crash may swallow one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::server::{FOREIGN, Key, Store};

/// Every object, as text.
pub(crate) fn of(store: &Store) -> String {
    let names: BTreeMap<String, String> = store
        .everything()
        .map(|(key, object)| (text(&object["metadata"]["uid"]), format!("UID of {} {}", key.plural, key.name)))
        .collect();
    let mut objects: Vec<String> = store
        .everything()
        .filter(|(key, _)| key.plural != "events")
        .map(|(key, object)| one(key, object, &names))
        .collect();
    objects.sort();
    objects.join("\n")
}

fn one(key: &Key, object: &Value, names: &BTreeMap<String, String>) -> String {
    let mut object = object.clone();
    let metadata = object["metadata"].as_object_mut().unwrap();
    for field in ["uid", "resourceVersion", "creationTimestamp", "managedFields"] {
        metadata.remove(field);
    }
    if !matches!(key.plural, "functions" | "triggers") {
        metadata.remove("generation");
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with(FOREIGN));
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
    if key.plural == "pods" {
        object["metadata"]["name"] = json!("POD");
    }
    if key.plural == "deployments" {
        object["status"].as_object_mut().into_iter().for_each(|status| _ = status.remove("observedGeneration"));
    }
    named(&mut object, names);
    if let Some(conditions) = object["status"]["conditions"].as_array_mut() {
        conditions.iter_mut().for_each(|c| _ = c.as_object_mut().unwrap().remove("lastTransitionTime"));
        conditions.sort_by_key(|condition| text(&condition["type"]));
    }
    let pretty = serde_json::to_string_pretty(&object).unwrap();
    format!("{} {}/{} {pretty}", key.plural, key.namespace, if key.plural == "pods" { "POD" } else { &key.name })
}

/// Writes whose UID it is in place of each UID.
fn named(value: &mut Value, names: &BTreeMap<String, String>) {
    match value {
        Value::String(uid) if names.contains_key(uid) => names[uid].clone_into(uid),
        Value::String(uid) if uid.starts_with("00000000-0000-4000-8000-") => {
            *uid = "UID of nothing that is there".to_owned()
        }
        Value::Array(list) => list.iter_mut().for_each(|one| named(one, names)),
        Value::Object(map) => map.values_mut().for_each(|one| named(one, names)),
        _ => {}
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The lines in which two pictures differ.
pub(crate) fn difference(expected: &str, found: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (expected, found) = (lines(expected), lines(found));
    let only = |these: &[String], those: &[String], sign: char| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).map(|line| format!("  {sign} {}", line.trim())).collect()
    };
    let mut out = only(&expected, &found, '-');
    out.extend(only(&found, &expected, '+'));
    if out.is_empty() {
        out.push(format!("  the same lines, {} in place of {}", found.len(), expected.len()));
    }
    out.join("\n")
}
