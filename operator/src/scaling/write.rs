//! Reads Deployments and writes `/scale`, each with a deadline and never twice.

use std::time::Duration;

use crds::names;
use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tracing::warn;

use super::drain::{Current, Outcome};
use crate::leadership::Leadership;

/// Longest time for a read.
pub const READ: Duration = Duration::from_secs(2);
/// Longest time for a write: the lease must hold for longer when it begins.
pub const WRITE: Duration = Duration::from_secs(2);

/// The Deployment as the API server has it now. A read without a resource version is as new as the newest write.
///
/// # Errors
/// [`Outcome::Gone`] or [`Outcome::Failed`].
pub async fn read(client: Client, namespace: &str, name: &str) -> Result<Current, Outcome> {
    let api: Api<Deployment> = Api::namespaced(client, namespace);
    match within(READ, api.get(name)).await {
        Ok(deployment) => {
            let version = deployment.metadata.resource_version.ok_or(Outcome::Failed)?;
            let generation = deployment.metadata.generation.unwrap_or_default();
            let replicas = deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1);
            Ok(Current { version, generation, replicas })
        }
        Err(error) => Err(outcome(&error, namespace, name, "read")),
    }
}

/// Sets `replicas`, on condition that the Deployment still has this resource version. Not even tried unless the lease
/// holds for as long as the write may take.
pub async fn scale(
    client: Client,
    leadership: &Leadership,
    epoch: u64,
    (namespace, name): (&str, &str),
    replicas: i32,
    version: &str,
) -> Outcome {
    if leadership.good_for(WRITE).is_none_or(|term| term.epoch != epoch) {
        return Outcome::NotNow;
    }
    let api: Api<Deployment> = Api::namespaced(client, namespace);
    let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}});
    let params = PatchParams { field_manager: Some(names::AUTOSCALER_MANAGER.to_owned()), ..PatchParams::default() };
    match within(WRITE, api.patch_scale(name, &params, &Patch::Merge(patch))).await {
        Ok(_) => Outcome::Done,
        Err(error) => outcome(&error, namespace, name, "scaled"),
    }
}

fn outcome(error: &CallError, namespace: &str, name: &str, done: &'static str) -> Outcome {
    match error.status() {
        Some(404) => Outcome::Gone,
        Some(409) => Outcome::Conflict,
        _ => {
            warn!(%error, namespace, deployment = name, "A Deployment could not be {done}.");
            Outcome::Failed
        }
    }
}
