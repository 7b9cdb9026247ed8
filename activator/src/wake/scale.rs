//! The one write of the activator: a merge patch of a Deployment's `/scale`.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use runtime::client::{CallError, within};
use serde_json::json;

/// A patch takes about 3 ms. One that takes this long is on a dead connection, and the next attempt opens another.
const DEADLINE: Duration = Duration::from_secs(1);

/// Sets `spec.replicas`. Returns the Deployment's new `resourceVersion`, if it is a number.
///
/// # Errors
/// [`CallError`], [`CallError::Deadline`] after a second.
pub async fn write(client: &Client, namespace: &str, name: &str, replicas: i32) -> Result<Option<u64>, CallError> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let params =
        PatchParams { field_manager: Some(crds::names::ACTIVATOR_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let scale = within(DEADLINE, api.patch_scale(name, &params, &patch)).await?;
    Ok(scale.metadata.resource_version.and_then(|version| version.parse().ok()))
}
