//! Who owns which field: what server-side apply goes by. Paths are written as in `FieldsV1`: `f:` and a field, `k:` and the
//! keys of a list's item; a list without keys is one field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// Between the parts of a path.
const SEPARATOR: &str = "\u{1f}";
/// Fields of the metadata that nobody owns.
const SYSTEM: &[&str] = &[
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "deletionTimestamp",
];

/// Fields and their values.
pub(super) type Leaves = BTreeMap<String, Value>;

/// What one manager owns by one kind of writing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) manager: String,
    pub(super) operation: &'static str,
    pub(super) subresource: &'static str,
    pub(super) paths: BTreeSet<String>,
}

/// The keys of a list's items, if it is merged by them.
fn keys(list: &str) -> &'static [&'static str] {
    match list {
        "containers" | "initContainers" | "volumes" | "env" | "imagePullSecrets" => &["name"],
        "ports" => &["containerPort", "protocol"],
        "volumeMounts" => &["mountPath"],
        "ownerReferences" => &["uid"],
        "conditions" => &["type"],
        _ => &[],
    }
}

fn item(list: &str, item: &Value) -> Option<String> {
    let named: Map<String, Value> = keys(list)
        .iter()
        .map(|key| {
            let default = if *key == "protocol" { json!("TCP") } else { Value::Null };
            ((*key).to_owned(), Some(item[*key].clone()).filter(|value| !value.is_null()).unwrap_or(default))
        })
        .collect();
    (!named.is_empty()).then(|| format!("k:{}", Value::Object(named)))
}

/// Every field of an object that somebody can own.
pub(super) fn leaves(object: &Value) -> Leaves {
    let mut out = Leaves::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        match field.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                let ours =
                    value.as_object().into_iter().flatten().filter(|(field, _)| !SYSTEM.contains(&field.as_str()));
                ours.for_each(|(field, value)| {
                    walk(&format!("f:metadata{SEPARATOR}f:{field}"), field, value, &mut out)
                });
            }
            _ => walk(&format!("f:{field}"), field, value, &mut out),
        }
    }
    out
}

fn walk(path: &str, name: &str, value: &Value, out: &mut Leaves) {
    match value {
        Value::Null => {}
        Value::Object(map) if !map.is_empty() => {
            map.iter().for_each(|(field, value)| walk(&format!("{path}{SEPARATOR}f:{field}"), field, value, out));
        }
        Value::Array(list) if !list.is_empty() && !keys(name).is_empty() => {
            for one in list {
                let key = item(name, one).unwrap_or_default();
                walk(&format!("{path}{SEPARATOR}{key}"), "", one, out);
            }
        }
        _ => _ = out.insert(path.to_owned(), value.clone()),
    }
}

/// Puts what is applied into an object; lists with keys are merged by them.
pub(super) fn merge(name: &str, into: &mut Value, applied: &Value) {
    match (&mut *into, applied) {
        (Value::Object(into), Value::Object(applied)) => {
            for (field, value) in applied.iter().filter(|(_, value)| !value.is_null()) {
                merge(field, into.entry(field.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(applied)) if !keys(name).is_empty() => {
            for one in applied {
                match into.iter_mut().find(|there| item(name, there) == item(name, one)) {
                    Some(there) => merge("", there, one),
                    None => into.push(one.clone()),
                }
            }
        }
        _ => into.clone_from(applied),
    }
}

/// Takes a field out, and what is empty without it.
pub(super) fn remove(object: &mut Value, path: &str) {
    let parts: Vec<&str> = path.split(SEPARATOR).collect();
    cut("", object, &parts);
}

fn cut(name: &str, value: &mut Value, parts: &[&str]) {
    let Some((part, rest)) = parts.split_first() else { return };
    if let Some(field) = part.strip_prefix("f:") {
        let Some(map) = value.as_object_mut() else { return };
        if let Some(inner) = map.get_mut(field) {
            cut(field, inner, rest);
            if rest.is_empty() || is_empty(inner) {
                map.remove(field);
            }
        }
        return;
    }
    let Some(list) = value.as_array_mut() else { return };
    let Some(at) = list.iter().position(|one| item(name, one).as_deref() == Some(*part)) else { return };
    // An item is gone with its key.
    let is_key =
        rest.first().and_then(|field| field.strip_prefix("f:")).is_some_and(|field| keys(name).contains(&field));
    cut("", &mut list[at], rest);
    if is_key || is_empty(&list[at]) {
        list.remove(at);
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// Notes that `who` changed what differs: it is the owner now, and nobody else.
pub(super) fn took(
    owners: &mut Vec<Owner>,
    (manager, operation, subresource): (&str, &'static str, &'static str),
    before: &Leaves,
    after: &Leaves,
) {
    let changed: BTreeSet<String> =
        after.iter().filter(|(path, value)| before.get(*path) != Some(value)).map(|(path, _)| path.clone()).collect();
    let is = |owner: &Owner| {
        (owner.manager.as_str(), owner.operation, owner.subresource) == (manager, operation, subresource)
    };
    for owner in owners.iter_mut() {
        let keeps = is(owner);
        owner.paths.retain(|path| after.contains_key(path) && (keeps || !changed.contains(path)));
    }
    if !changed.is_empty() {
        match owners.iter_mut().find(|owner| is(owner)) {
            Some(owner) => owner.paths.extend(changed),
            None => owners.push(Owner { manager: manager.to_owned(), operation, subresource, paths: changed }),
        }
    }
    owners.retain(|owner| !owner.paths.is_empty());
}

/// `metadata.managedFields`.
pub(super) fn managed(owners: &[Owner], api_version: &str) -> Value {
    let one = |owner: &Owner| {
        let mut fields = json!({});
        for path in &owner.paths {
            let mut at = &mut fields;
            for part in path.split(SEPARATOR) {
                at = &mut at[part];
                if at.is_null() {
                    *at = json!({});
                }
            }
        }
        json!({"manager": owner.manager, "operation": owner.operation, "subresource": owner.subresource,
            "apiVersion": api_version, "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    owners.iter().map(one).collect()
}
