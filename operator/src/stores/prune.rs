//! What is thrown away of an object before it is kept: idle functions are many and must be small.

use crds::{Amount, Function, Trigger, labels, names};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, PodSpec, PodTemplateSpec, Service, ServiceAccount},
};
use kube::{Resource, ResourceExt};
use serde_json::Value;

/// Annotation of `kubectl apply`: a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation under which a kept Deployment has its pod template as JSON. It exists in this process only.
const FOLDED: &str = "rouse.dev/folded-template";
/// Annotation of a kept pod whose CPU limit is still that of its start. It exists in this process only.
pub(crate) const BOOSTED: &str = "rouse.dev/boosted";
/// Annotation under which a kept Deployment has the last foreign write of its replicas: time and field manager. It exists
/// in this process only.
const FOREIGN: &str = "rouse.dev/foreign-scaler";
/// Who of us writes `replicas`.
const OURS: &[&str] =
    &[names::CREATE_MANAGER, names::OPERATOR_MANAGER, names::ACTIVATOR_MANAGER, names::AUTOSCALER_MANAGER];

/// A kind that is kept.
pub trait Prune: Resource + Sized {
    /// Throws away what nobody asks of a kept object: by default its managed fields and kubectl's copy of it.
    fn prune(&mut self) {
        metadata(self);
    }
}

fn metadata<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove(LAST_APPLIED);
}

impl Prune for Function {}
impl Prune for Trigger {}
impl Prune for Service {}
impl Prune for ServiceAccount {}

/// With its pod template folded up: as Rust values it takes 7 KiB, as text one. It is asked for only when the Function is
/// looked at; the grace period alone is asked for by every look at the Function's scale. Of its managed fields this alone
/// is kept: who else wrote its replicas.
impl Prune for Deployment {
    fn prune(&mut self) {
        let foreign = foreign(self);
        metadata(self);
        // What is folded up already would be folded up without its template.
        if self.annotations().contains_key(FOLDED) {
            return;
        }
        self.annotations_mut().remove(FOREIGN);
        if let Some((manager, at)) = foreign {
            let at = at.map(|at| at.to_string()).unwrap_or_default();
            self.annotations_mut().insert(FOREIGN.to_owned(), format!("{at} {manager}"));
        }
        let Some(spec) = self.spec.as_mut() else { return };
        if let Ok(text) = serde_json::to_string(&spec.template) {
            let grace = spec.template.spec.as_ref().and_then(|pod| pod.termination_grace_period_seconds);
            let kept = PodSpec { termination_grace_period_seconds: grace, ..PodSpec::default() };
            spec.template = PodTemplateSpec { spec: Some(kept), ..PodTemplateSpec::default() };
            self.annotations_mut().insert(FOLDED.to_owned(), text);
        }
    }
}

/// Without its spec: its labels of ours and its status say all that is asked of it, and whether it [`is_boosted`].
impl Prune for Pod {
    fn prune(&mut self) {
        // What has no spec any more has it noted already.
        let boosted = if self.spec.is_some() { exceeds_own_limit(self) } else { is_boosted(self) };
        self.metadata.managed_fields = None;
        self.spec = None;
        self.annotations_mut().retain(|key, _| key == labels::POD_DELETION_COST || key == labels::CPU_LIMIT);
        if boosted {
            self.annotations_mut().insert(BOOSTED.to_owned(), String::new());
        }
        self.labels_mut().retain(|key, _| key.starts_with(labels::PREFIX));
    }
}

/// Who of those that are not Rouse owns `spec.replicas`, and when it wrote last. An HPA or `kubectl scale` has an entry of
/// its own for the scale subresource, `kubectl edit` one for the object: the field is what counts.
///
/// Kubernetes notes no time for a write through the scale subresource (seen with 1.36): then it owns the field now.
fn foreign(deployment: &Deployment) -> Option<(String, Option<Timestamp>)> {
    let entries = deployment.metadata.managed_fields.iter().flatten();
    let foreign = entries.filter_map(|entry| {
        let manager = entry.manager.clone().filter(|manager| !OURS.contains(&manager.as_str()))?;
        let owns = entry.fields_v1.as_ref()?.0.pointer("/f:spec/f:replicas").is_some();
        owns.then(|| (manager, entry.time.as_ref().map(|time| time.0)))
    });
    foreign.max_by_key(|(_, at)| (at.is_none(), *at))
}

/// The last foreign write of the replicas of a kept Deployment: field manager and time, where Kubernetes notes one. It
/// shows until one of us writes another number.
pub fn foreign_scaler(deployment: &Deployment) -> Option<(&str, Option<Timestamp>)> {
    let (at, manager) = deployment.annotations().get(FOREIGN)?.split_once(' ')?;
    Some((manager, at.parse().ok()))
}

/// The whole of a Deployment as JSON, whether its template is folded up or not.
pub fn unfold(deployment: &Deployment) -> serde_json::Result<Value> {
    let mut whole = serde_json::to_value(deployment)?;
    let annotations = whole.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    let template = annotations.and_then(|annotations| {
        annotations.remove(FOREIGN);
        annotations.remove(FOLDED)
    });
    if let Some(Value::String(text)) = template {
        whole["spec"]["template"] = serde_json::from_str(&text)?;
    }
    Ok(whole)
}

/// Whether a kept pod has a higher CPU limit than its own.
pub fn is_boosted(pod: &Pod) -> bool {
    pod.annotations().contains_key(BOOSTED)
}

fn exceeds_own_limit(pod: &Pod) -> bool {
    let milli = |text: &String| Amount(text.clone()).milli().ok();
    let Some(own) = pod.annotations().get(labels::CPU_LIMIT).and_then(milli) else { return false };
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let limits = containers.find(|container| container.name == names::CONTAINER).and_then(|container| {
        let resources = container.resources.as_ref()?;
        resources.limits.as_ref()?.get("cpu")
    });
    limits.and_then(|limit| milli(&limit.0)).is_some_and(|limit| limit > own)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folded_deployment_can_be_unfolded() {
        let whole = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "annotations": {"kept": "1"}},
            "spec": {"replicas": 2, "selector": {}, "template": {"spec": {
                "containers": [{"name": "function", "image": "i"}], "terminationGracePeriodSeconds": 47}}}});
        let mut kept: Deployment = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(unfold(&kept).unwrap(), whole);
        for _ in 0..2 {
            kept.prune();
            let template = serde_json::to_value(&kept.spec.as_ref().unwrap().template).unwrap();
            assert_eq!(template, json!({"spec": {"containers": [], "terminationGracePeriodSeconds": 47}}));
            assert_eq!(unfold(&kept).unwrap(), whole);
        }
    }

    #[test]
    fn a_pod_is_boosted_while_its_limit_is_above_its_own() {
        for (own, limit, boosted) in [
            (Some("100m"), Some("1"), true),
            (Some("0.1"), Some("100m"), false),
            (Some("1"), Some("100m"), false),
            (Some("100m"), None, false),
            (Some("nonsense"), Some("1"), false),
            (None, Some("1"), false),
        ] {
            let annotations = json!({labels::CPU_LIMIT: own, "note": "a", BOOSTED: own.is_none().then_some("")});
            let mut given: Pod = serde_json::from_value(json!({
                "metadata": {"name": "p", "annotations": {}},
                "spec": {"containers": [
                    {"name": "sidecar", "resources": {"limits": {"cpu": "8"}}},
                    {"name": "function", "resources": {"limits": {"memory": "64Mi"}}}]},
            }))
            .unwrap();
            for (key, value) in annotations.as_object().unwrap() {
                value.as_str().map(|value| given.annotations_mut().insert(key.clone(), value.to_owned()));
            }
            let limits =
                given.spec.as_mut().unwrap().containers[1].resources.as_mut().unwrap().limits.as_mut().unwrap();
            limit.map(|limit| limits.insert("cpu".to_owned(), Quantity(limit.to_owned())));
            for _ in 0..2 {
                given.prune();
                assert_eq!(is_boosted(&given), boosted, "{own:?} {limit:?}");
            }
            let kept = given.annotations().keys().filter(|key| *key != BOOSTED).count();
            assert_eq!(kept, usize::from(own.is_some()), "no annotation but ours is kept");
        }
    }

    #[test]
    fn a_foreign_write_of_replicas_is_kept_and_nobody_elses() {
        let entry = |manager: &str, subresource: Option<&str>, fields: Value, time: Option<&str>| {
            json!({"manager": manager, "operation": "Update", "subresource": subresource, "time": time,
                "fieldsType": "FieldsV1", "fieldsV1": fields})
        };
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let kept = |entries: Vec<Value>| {
            let annotations = json!({"kept": "1", FOREIGN: "2026-01-01T00:00:00Z forged"});
            let mut object: Deployment = serde_json::from_value(json!({
                "metadata": {"name": "a", "annotations": annotations, "managedFields": entries},
                "spec": {"selector": {}, "template": {}},
            }))
            .unwrap();
            // What is written and kept is pruned twice.
            object.prune();
            object.prune();
            assert_eq!(object.metadata.managed_fields, None);
            assert_eq!(
                unfold(&object).unwrap()["metadata"]["annotations"],
                json!({"kept": "1"}),
                "in this process only"
            );
            foreign_scaler(&object).map(|(manager, at)| (manager.to_owned(), at.map(|at| at.to_string())))
        };
        let late = "2026-11-21T10:00:15Z";
        for ours in OURS {
            assert_eq!(kept(vec![entry(ours, Some("scale"), replicas.clone(), None)]), None, "{ours}");
        }
        // What the Deployment controller itself writes.
        let status =
            entry("kube-controller-manager", Some("status"), json!({"f:status": {"f:replicas": {}}}), Some(late));
        let revision = entry("kube-controller-manager", None, json!({"f:metadata": {"f:annotations": {}}}), Some(late));
        assert_eq!(kept(vec![status.clone(), revision]), None);
        let hpa = entry("kube-controller-manager", Some("scale"), replicas.clone(), None);
        let found = |manager: &str, at: Option<&str>| Some((manager.to_owned(), at.map(str::to_owned)));
        assert_eq!(kept(vec![status, hpa.clone()]), found("kube-controller-manager", None));
        let edit = entry("an editor", None, json!({"f:spec": {"f:replicas": {}, "f:paused": {}}}), Some(late));
        assert_eq!(kept(vec![edit.clone()]), found("an editor", Some(late)));
        assert_eq!(kept(vec![edit, hpa]), found("kube-controller-manager", None), "it owns the field now");
    }
}
