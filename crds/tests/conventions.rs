//! The conventions that our API keeps, held against the generated CRDs.

#![allow(clippy::unwrap_used, clippy::panic)] // Helpers of tests are tests.

use std::{fs, path::PathBuf, process::Command};

use crds::{Function, Trigger, rules, schema};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Subtrees of Kubernetes' own types: described in one line, not to our own conventions.
const FOREIGN: &[&str] = &["As in Kubernetes'", "as in Kubernetes'", "Kubernetes'"];

fn crds() -> [(&'static str, Value); 2] {
    [("function", schema::function().unwrap()), ("trigger", schema::trigger().unwrap())]
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn schema_of(crd: &Value) -> &Value {
    &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
}

/// Every schema node with its path, depth first.
fn walk(node: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    visit(path, node);
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        walk(child, &format!("{path}.{name}"), visit);
    }
    for key in ["items", "additionalProperties"] {
        if node[key].is_object() {
            walk(&node[key], &format!("{path}[]"), visit);
        }
    }
}

#[test]
fn the_files_are_what_crdgen_writes() {
    let check = Command::new(env!("CARGO_BIN_EXE_crdgen")).arg("--check").output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
}

#[test]
fn a_crd_is_smaller_than_64_kib() {
    for (name, crd) in crds() {
        let size = crd.to_string().len();
        assert!(size < 64 << 10, "{name}: {size} bytes of compact JSON");
    }
}

#[test]
fn every_field_is_described() {
    for (name, crd) in crds() {
        walk(schema_of(&crd), "", &mut |path, node| {
            if path.ends_with("[]") {
                return;
            }
            let text = node["description"].as_str().unwrap_or_default();
            let standard = ["", ".metadata", ".kind", ".apiVersion"].contains(&path);
            assert!(standard || text.ends_with('.'), "{name}{path}: {text:?} is no description");
            if FOREIGN.iter().any(|words| text.contains(words)) || path.starts_with(".status") {
                return;
            }
            if path.ends_with("Seconds") {
                assert!(text.contains("Seconds"), "{name}{path}: the description names no unit");
            }
            if node["type"] == "integer" {
                let bounded = node["minimum"].is_number() && node["maximum"].is_number();
                assert!(bounded, "{name}{path}: a number without bounds");
                assert!(
                    text.contains("ange ") || text.contains("At least"),
                    "{name}{path}: the description has no range"
                );
            }
            let has_default = !node["default"].is_null() && node["type"] != "object";
            assert!(
                !has_default || text.to_lowercase().contains("default"),
                "{name}{path}: the description does not say the default"
            );
        });
    }
}

#[test]
fn every_list_is_tagged_and_bounded() {
    for (name, crd) in crds() {
        walk(schema_of(&crd), "", &mut |path, node| {
            if node["type"] != "array" {
                return;
            }
            assert!(node["x-kubernetes-list-type"].is_string(), "{name}{path}: a list without a type");
            let text = node["description"].as_str().unwrap_or_default();
            let foreign = FOREIGN.iter().any(|words| text.contains(words)) && node["maxItems"].is_null();
            assert!(foreign || node["maxItems"].is_number(), "{name}{path}: a list without a bound");
        });
    }
}

#[test]
fn numbers_have_formats_that_kubernetes_knows() {
    for (name, crd) in crds() {
        walk(schema_of(&crd), "", &mut |path, node| {
            if node["type"] == "integer" {
                let format = node["format"].as_str().unwrap_or_default();
                assert!(["int32", "int64"].contains(&format), "{name}{path}: format {format:?}");
            }
            for key in ["oneOf", "anyOf", "allOf", "$ref", "nullable"] {
                assert!(node[key].is_null(), "{name}{path}: {key} is not wanted in a structural schema");
            }
        });
    }
}

#[test]
fn an_object_that_nobody_has_looked_at_is_not_finished() {
    for (name, crd) in crds() {
        assert_eq!(schema_of(&crd)["properties"]["status"]["default"], json!({"observedGeneration": -1}), "{name}");
    }
}

#[test]
fn printed_columns_are_the_designed_ones() {
    let columns = |crd: &Value| -> Vec<(String, bool)> {
        let list = crd["spec"]["versions"][0]["additionalPrinterColumns"].as_array().unwrap();
        list.iter().map(|c| (c["name"].as_str().unwrap().to_uppercase(), c["priority"] == 1)).collect()
    };
    let [(_, function), _] = crds();
    let (wide, narrow): (Vec<_>, Vec<_>) = columns(&function).into_iter().partition(|(_, wide)| *wide);
    let names = |list: Vec<(String, bool)>| list.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(narrow), ["READY", "ACTIVE", "REPLICAS", "URL", "AGE"]);
    assert_eq!(names(wide), ["IMAGE", "RUNTIME", "MIN", "MAX", "REVISION", "REASON"]);
}

/// A scale subresource whose number is absent is an error to whoever reads it: it has a default.
#[test]
fn the_scale_of_a_function_leads_to_fields_that_are_there() {
    let [(_, function), (_, trigger)] = crds();
    let scale = |crd: &Value| crd["spec"]["versions"][0]["subresources"]["scale"].clone();
    let (scale, none) = (scale(&function), scale(&trigger));
    assert!(none.is_null(), "{none}");
    let field = |key: &str| {
        let path = scale[key].as_str().unwrap().replace('.', "/properties/");
        schema_of(&function).pointer(&path).unwrap_or_else(|| panic!("{key}: no field {path}")).clone()
    };
    assert_eq!(
        (&field("specReplicasPath")["type"], &field("specReplicasPath")["default"]),
        (&json!("integer"), &json!(0))
    );
    assert_eq!(schema_of(&function)["properties"]["spec"]["properties"]["scaling"]["default"]["replicas"], 0);
    assert_eq!(field("statusReplicasPath")["type"], "integer");
    assert_eq!(field("labelSelectorPath")["type"], "string");
}

/// Reads an object and holds that nothing of what was written is lost: the nearest thing to strict parsing for types
/// that must tolerate fields of newer versions.
fn strictly<T: DeserializeOwned + serde::Serialize>(written: &Value, what: &str) {
    let parsed: T = serde_json::from_value(written.clone()).unwrap_or_else(|e| panic!("{what}: {e}"));
    let again = serde_json::to_value(&parsed).unwrap();
    let once_more: T = serde_json::from_value(again.clone()).unwrap();
    assert_eq!(serde_json::to_value(&once_more).unwrap(), again, "{what}: does not round-trip");
    contained(written, &again, what);
}

fn contained(written: &Value, read: &Value, path: &str) {
    match written {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                // Empty values are defaults and are left out again.
                let empty = value == &json!({}) || value == &json!([]) || value == &json!("");
                assert!(empty || !read[key].is_null(), "{path}: not known");
                if !empty {
                    contained(value, &read[key], &path);
                }
            }
        }
        Value::Array(list) => {
            for (i, value) in list.iter().enumerate() {
                contained(value, &read[i], &format!("{path}[{i}]"));
            }
        }
        // A bare number where a quantity is wanted is read as its text.
        Value::Number(n) => {
            assert!(*read == *written || read == &json!(n.to_string()), "{path}: {written} read as {read}")
        }
        other => assert_eq!(other, read, "{path}"),
    }
}

#[test]
fn every_rule_has_fixtures_that_parse() {
    for (base, table) in [(rules::FUNCTION_BASE, rules::FUNCTION), (rules::TRIGGER_BASE, rules::TRIGGER)] {
        for rule in table {
            assert!(rule.message.contains("must"), "{}: a message says what must be: {}", rule.path, rule.message);
            assert_ne!(rule.accepts, rule.refuses, "{}", rule.path);
            for fixture in [rule.accepts, rule.refuses] {
                let mut manifest: Value = serde_json::from_str(base).unwrap();
                json_patch::merge(
                    &mut manifest,
                    &serde_json::from_str(fixture).unwrap_or_else(|e| panic!("{fixture}: {e}")),
                );
                match manifest["kind"].as_str() {
                    Some("Function") => strictly::<Function>(&manifest, fixture),
                    _ => strictly::<Trigger>(&manifest, fixture),
                }
            }
        }
    }
}

#[test]
fn every_example_parses_strictly_and_round_trips() {
    let mut ours = 0;
    let examples = root().join("../examples");
    let inside = |folder: PathBuf| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let folders = inside(examples.clone()).filter(|path| path.is_dir());
    let files = inside(examples).chain(folders.flat_map(inside));
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "yaml")) {
        let what = path.display().to_string();
        let text = fs::read_to_string(&path).unwrap();
        for document in serde_yaml::Deserializer::from_str(&text) {
            let value: Value = serde::Deserialize::deserialize(document).unwrap_or_else(|e| panic!("{what}: {e}"));
            match (value["apiVersion"].as_str(), value["kind"].as_str()) {
                (Some("rouse.dev/v1alpha1"), Some("Function")) => strictly::<Function>(&value, &what),
                (Some("rouse.dev/v1alpha1"), Some("Trigger")) => strictly::<Trigger>(&value, &what),
                _ => continue,
            }
            ours += 1;
        }
    }
    assert!(ours >= 3, "only {ours} of our objects in the examples");
}

/// The page that explains every reason must name every reason, and nothing else.
#[test]
fn every_reason_is_documented() {
    let page = fs::read_to_string(root().join("../docs/reasons.md")).unwrap();
    let documented: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let known: Vec<&str> = crds::Reason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(documented, known, "docs/reasons.md must list the reasons in the order of crds::Reason");
}

#[test]
fn the_policy_refuses_a_lower_number_in_the_words_that_the_activator_knows() {
    let policy = fs::read_to_string(root().join("../charts/rouse/templates/admission/scale.yaml")).unwrap();
    assert!(policy.contains(&format!("'{} from '", crds::names::RAISE_ONLY)), "{policy}");
}
