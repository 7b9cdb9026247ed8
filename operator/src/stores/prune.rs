//! What is thrown away of an object before it is kept: idle functions are many and must be small.

use crds::labels;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, PodTemplateSpec},
};
use kube::{Resource, ResourceExt};
use serde_json::Value;

/// Annotation of `kubectl apply`: a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Annotation under which a kept Deployment has its pod template as JSON. It exists in this process only.
const FOLDED: &str = "rouse.dev/folded-template";

/// Without managed fields and kubectl's copy.
pub fn metadata<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
    object.annotations_mut().remove(LAST_APPLIED);
}

/// A Deployment with its pod template folded up: as Rust values it takes 7 KiB, as text one. It is asked for only when
/// the Function is looked at.
pub(crate) fn deployment(deployment: &mut Deployment) {
    metadata(deployment);
    let Some(spec) = deployment.spec.as_mut() else { return };
    if let Ok(text) = serde_json::to_string(&spec.template) {
        spec.template = PodTemplateSpec::default();
        deployment.annotations_mut().insert(FOLDED.to_owned(), text);
    }
}

/// The whole of a Deployment as JSON, whether its template is folded up or not.
pub fn unfold(deployment: &Deployment) -> serde_json::Result<Value> {
    let mut whole = serde_json::to_value(deployment)?;
    let annotations = whole.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
    if let Some(Value::String(text)) = annotations.and_then(|annotations| annotations.remove(FOLDED)) {
        whole["spec"]["template"] = serde_json::from_str(&text)?;
    }
    Ok(whole)
}

/// A pod without its spec: its labels of ours and its status say all that is asked of it.
pub(super) fn pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.spec = None;
    pod.annotations_mut().retain(|key, _| key == labels::POD_DELETION_COST);
    pod.labels_mut().retain(|key, _| key.starts_with(labels::PREFIX));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_folded_deployment_can_be_unfolded() {
        let whole = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "a", "annotations": {"kept": "1"}},
            "spec": {"replicas": 2, "selector": {}, "template": {"spec": {"containers": [{"name": "function", "image": "i"}]}}}});
        let mut kept: Deployment = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(unfold(&kept).unwrap(), whole);
        deployment(&mut kept);
        assert!(kept.spec.as_ref().unwrap().template.spec.is_none());
        assert_eq!(unfold(&kept).unwrap(), whole);
    }
}
