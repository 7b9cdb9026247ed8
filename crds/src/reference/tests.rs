use serde_json::json;

use super::*;

/// The page about one kind with this `spec`.
fn about(spec: &Value) -> String {
    page(&[json!({"spec": {
        "group": "example.dev", "scope": "Namespaced",
        "names": {"kind": "Sample", "plural": "samples", "singular": "sample", "shortNames": ["smp"]},
        "versions": [{
            "name": "v1",
            "additionalPrinterColumns": [
                {"name": "Size", "jsonPath": ".spec.size", "description": "How large."},
                {"name": "Note", "jsonPath": ".spec.note", "description": "A note.", "priority": 1},
            ],
            "schema": {"openAPIV3Schema": {"description": "Sample is a sample.", "properties": {
                "spec": spec,
                "status": {"properties": {"done": {"type": "boolean", "description": "Whether it is done."}}},
            }}},
            "subresources": {"scale": {
                "specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector",
            }},
        }],
    }})])
}

#[track_caller]
fn assert_lines(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|seen| seen == *line), "no line {line}\n{page}");
    }
}

#[test]
fn a_field_has_its_path_type_default_and_limits() {
    let page = about(&json!({"required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1.0, "maximum": 9.0, "default": 3, "description": "How large."},
        "least": {"type": "integer", "minimum": 0, "default": 0, "description": "Least."},
        "note": {"type": "string", "maxLength": 20, "pattern": "^a|b$", "default": "", "description": "A note."},
        "way": {"type": "string", "enum": ["In", "Out"], "default": "In", "description": "Which way."},
        "memory": {"x-kubernetes-int-or-string": true, "description": "Memory."},
        "debug": {"type": "boolean", "description": "Whether to debug."},
    }}));
    assert_lines(
        &page,
        &[
            "| `spec.size` | integer | required | 1 to 9 | How large. |",
            "| `spec.least` | integer | `0` | at least 0 | Least. |",
            r#"| `spec.note` | string | `""` | at most 20 characters, `^a\|b$` | A note. |"#,
            "| `spec.way` | string | `In` | `In` `Out` | Which way. |",
            "| `spec.memory` | integer or string |  |  | Memory. |",
            "| `spec.debug` | boolean |  |  | Whether to debug. |",
        ],
    );
}

#[test]
fn lists_and_maps_say_what_they_hold() {
    let page = about(&json!({"properties": {
        "names": {
            "type": "array", "minItems": 1, "maxItems": 4, "x-kubernetes-list-type": "set", "description": "Names.",
            "items": {"type": "string", "maxLength": 8},
        },
        "labels": {"type": "object", "maxProperties": 2, "additionalProperties": {"type": "string"}, "description": "Labels."},
    }}));
    assert_lines(
        &page,
        &[
            "| `spec.names` | list of string |  | 1 to 4 items, unique, each at most 8 characters | Names. |",
            "| `spec.labels` | map of string |  | at most 2 entries | Labels. |",
        ],
    );
}

#[test]
fn an_object_has_a_section_of_its_own_to_which_its_field_leads() {
    let page = about(&json!({"properties": {
        "parts": {
            "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["path"], "description": "Parts.",
            "items": {"type": "object", "required": ["path"], "properties": {
                "path": {"type": "string", "description": "Where."},
                "from": {"type": "object", "default": {"name": "x"}, "description": "Whence.", "properties": {
                    "name": {"type": "string", "description": "Name."},
                }},
            }},
        },
    }}));
    assert_lines(
        &page,
        &[
            "| [`spec.parts`](#sample-specparts) | list of object |  | unique by path | Parts. |",
            "### Sample: `spec.parts`",
            "| `spec.parts[].path` | string | required |  | Where. |",
            "| `spec.parts[].from` | object |  |  | Whence. |",
            "| `spec.parts[].from.name` | string |  |  | Name. |",
        ],
    );
}

#[test]
fn types_of_kubernetes_are_linked_and_not_unrolled_but_for_our_own_bounds() {
    let page = about(&json!({"properties": {
        "env": {"type": "array", "description": "Environment.", "items": {"type": "object", "properties": {
            "name": {"type": "string", "maxLength": 256, "description": "Name."},
            "valueFrom": {"type": "object", "description": "Source.", "properties": {"key": {"type": "string"}}},
        }}},
    }}));
    let link = format!("[EnvVar]({KUBERNETES}#envvar-v1-core)");
    assert_lines(
        &page,
        &[
            &format!("| [`spec.env`](#sample-specenv) | list of {link} |  |  | Environment. |"),
            "| `spec.env[].name` | string |  | at most 256 characters | Name. |",
        ],
    );
    assert!(!page.contains("valueFrom"), "{page}");
}

#[test]
fn every_rule_is_there_with_its_place_and_its_message() {
    let rule = |message: &str| json!([{"rule": "true", "message": message}]);
    let page = about(&json!({"x-kubernetes-validations": rule("a or b"), "properties": {
        "env": {"type": "array", "items": {"type": "object", "properties": {
            "value": {"type": "string", "x-kubernetes-validations": rule("must be a|b")},
        }}},
    }}));
    assert_lines(&page, &["| `spec` | a or b |", r"| `spec.env[].value` | must be a\|b |"]);
}

#[test]
fn a_kind_has_its_names_columns_status_and_scale() {
    assert_lines(
        &about(&json!({})),
        &[
            "## Sample",
            "Sample is a sample.",
            "`apiVersion: example.dev/v1`, `kind: Sample`; namespaced. For `kubectl`: `samples`, `sample`, `smp`. Every field of the spec may be changed at any time.",
            "| `status.done` | boolean |  |  | Whether it is done. |",
            "| `SIZE` | `.spec.size` | How large. |",
            "| `NOTE`, with `-o wide` | `.spec.note` | A note. |",
            "`kubectl scale` and an HPA write `spec.size`, and read `status.size` and, as the selector of the pods, `status.selector`.",
        ],
    );
}

#[test]
fn a_kind_with_a_rule_about_changes_is_not_called_changeable() {
    let spec = json!({"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "must stay"}]});
    assert!(!about(&spec).contains("may be changed"));
}

#[test]
fn text_cannot_end_its_cell_nor_begin_a_tag() {
    let page = about(&json!({"properties": {"a": {"type": "string", "description": "one | two\n<b>."}}}));
    assert_lines(&page, &[r"| `spec.a` | string |  |  | one \| two &lt;b>. |"]);
}
