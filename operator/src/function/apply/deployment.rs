//! A revision's Deployment: what is special about it is `replicas`, which belongs to the scalers, and the pod template's
//! epoch.

use std::sync::Arc;

use crds::{labels, names};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use runtime::client::within;
use serde_json::json;
use tokio::time::Instant;
use tracing::info;

use super::{
    DEADLINE, Stop,
    child::{self, Found, may_write},
    replicas,
};
use crate::{context::Context, function::validate::Valid, metrics::ApiWrite};

/// Brings a revision's Deployment to the plan. `at_creation`: its replicas if it has to be made.
pub(super) async fn ensure(
    cx: &Context,
    valid: &Valid,
    seen: Option<Arc<Deployment>>,
    want: Deployment,
    at_creation: i32,
) -> Result<Arc<Deployment>, Stop> {
    let mut first = want.clone();
    if let Some(spec) = &mut first.spec {
        spec.replicas = Some(at_creation);
    }
    let recent = &cx.recent.deployments;
    match child::find_or_create(cx, valid, seen, first, recent).await? {
        Found::Created(made) => Ok(made),
        Found::There(seen) if epoch(&seen) == epoch(&want) => child::apply(cx, valid, seen, want, recent).await,
        // A change of the generated template would restart running pods: it waits for the function to be at zero.
        Found::There(seen) if replicas(&seen) > 0 => Ok(seen),
        Found::There(seen) => reshape(cx, valid, seen, &want).await,
    }
}

fn epoch(deployment: &Deployment) -> Option<&String> {
    deployment.annotations().get(labels::TEMPLATE_EPOCH)
}

/// Takes the template of another epoch over, at zero. A JSON Patch and not an apply: what the POST of the creation owns,
/// an apply cannot take out again. A wake that comes first changes the version, and the patch is refused.
async fn reshape(
    cx: &Context,
    valid: &Valid,
    seen: Arc<Deployment>,
    want: &Deployment,
) -> Result<Arc<Deployment>, Stop> {
    let child = child::child(want);
    may_write(cx)?;
    let pointer = format!("/metadata/annotations/{}", labels::TEMPLATE_EPOCH.replace('/', "~1"));
    let mut operations = vec![
        json!({"op": "test", "path": "/metadata/uid", "value": seen.metadata.uid}),
        json!({"op": "test", "path": "/metadata/resourceVersion", "value": seen.metadata.resource_version}),
        json!({"op": "replace", "path": "/spec/template", "value": want.spec.as_ref().map(|spec| &spec.template)}),
    ];
    if seen.metadata.annotations.is_none() {
        operations.push(json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
    }
    operations.push(json!({"op": "add", "path": pointer, "value": epoch(want)}));
    let Ok(patch) = serde_json::from_value(operations.into()) else { return Ok(seen) };
    let api: Api<Deployment> = Api::namespaced(cx.client.clone(), &valid.namespace);
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    match within(DEADLINE, api.patch(&child.name, &params, &Patch::Json::<()>(patch))).await {
        Ok(now) => {
            info!(namespace = valid.namespace, child = %child, "Took the pod template of this version of the operator over.");
            cx.metrics.wrote(ApiWrite::Apply);
            let now = Arc::new(now);
            cx.recent.deployments.wrote(Arc::clone(&now), Instant::now());
            Ok(now)
        }
        // It woke in between. There is a next time.
        Err(error) if child::is_stale(&error) => Ok(seen),
        Err(error) => Err(Stop::of(child, error)),
    }
}

/// Deletes a retired Deployment, unless it has changed since it was seen; whether it is gone.
pub(super) async fn delete(cx: &Context, retired: &Deployment) -> Result<bool, Stop> {
    let child = child::child(retired);
    may_write(cx)?;
    let api: Api<Deployment> = Api::namespaced(cx.client.clone(), &retired.namespace().unwrap_or_default());
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: retired.metadata.uid.clone(),
            resource_version: retired.metadata.resource_version.clone(),
        }),
        ..DeleteParams::background()
    };
    match within(DEADLINE, api.delete(&child.name, &params)).await {
        Ok(_) => {
            info!(namespace = retired.namespace(), child = %child, "Deleted: another revision serves and its last pod is gone.");
            cx.metrics.wrote(ApiWrite::Delete);
            Ok(true)
        }
        Err(error) if error.status() == Some(404) => Ok(true),
        Err(error) if child::is_stale(&error) => Ok(false),
        Err(error) => Err(Stop::of(child, error)),
    }
}
