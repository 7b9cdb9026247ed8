//! The kinds that there are.

use serde_json::{Value, json};

/// A kind of objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) plural: &'static str,
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    /// `/status` is written apart from the rest.
    pub(crate) status: bool,
    /// A change of the spec is counted.
    pub(crate) generation: bool,
}

const fn kind(
    plural: &'static str,
    api_version: &'static str,
    kind: &'static str,
    status: bool,
    generation: bool,
) -> Kind {
    Kind { plural, api_version, kind, status, generation }
}

const KINDS: &[Kind] = &[
    kind("functions", "rouse.dev/v1alpha1", "Function", true, true),
    kind("triggers", "rouse.dev/v1alpha1", "Trigger", true, true),
    kind("deployments", "apps/v1", "Deployment", true, true),
    kind("pods", "v1", "Pod", true, false),
    kind("services", "v1", "Service", true, false),
    kind("serviceaccounts", "v1", "ServiceAccount", false, false),
    kind("leases", "coordination.k8s.io/v1", "Lease", false, false),
    kind("events", "v1", "Event", false, false),
];

/// The kind with this plural.
pub(crate) fn of(plural: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.plural == plural)
}

/// The plurals of all.
pub(super) fn plurals() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(|kind| kind.plural)
}

/// Fills in what the API server does. `replicas` is the one that bites: what nobody names is 1.
pub(super) fn default(kind: &Kind, object: &mut Value) {
    match kind.plural {
        "functions" | "triggers" => put(object, "status", json!({"observedGeneration": -1})),
        "deployments" => deployment(&mut object["spec"]),
        "services" => {
            put(&mut object["spec"], "sessionAffinity", json!("None"));
            put(&mut object["spec"], "type", json!("ClusterIP"));
        }
        _ => {}
    }
}

fn deployment(spec: &mut Value) {
    put(spec, "replicas", json!(1));
    put(spec, "revisionHistoryLimit", json!(10));
    put(spec, "progressDeadlineSeconds", json!(600));
    let limits = json!({"maxSurge": "25%", "maxUnavailable": "25%"});
    put(spec, "strategy", json!({"type": "RollingUpdate", "rollingUpdate": limits}));
    let pod = &mut spec["template"]["spec"];
    put(pod, "restartPolicy", json!("Always"));
    put(pod, "dnsPolicy", json!("ClusterFirst"));
    put(pod, "schedulerName", json!("default-scheduler"));
    put(pod, "terminationGracePeriodSeconds", json!(30));
    for container in pod["containers"].as_array_mut().into_iter().flatten() {
        put(container, "terminationMessagePath", json!("/dev/termination-log"));
        put(container, "terminationMessagePolicy", json!("File"));
        for port in container["ports"].as_array_mut().into_iter().flatten() {
            put(port, "protocol", json!("TCP"));
        }
    }
}

fn put(object: &mut Value, field: &str, value: Value) {
    if object[field].is_null() {
        object[field] = value;
    }
}
