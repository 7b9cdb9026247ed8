//! Reads Deployments, writes `/scale`, the deletion costs of pods and their CPU limits, each with a deadline and never twice.

use std::{collections::BTreeSet, time::Duration};

use crds::{labels, names};
use futures::{StreamExt, future::ready, stream};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tracing::warn;

use super::{
    drain::{Current, Outcome},
    resize::Resized,
};
use crate::leadership::Leadership;

/// Longest time for a read.
pub const READ: Duration = Duration::from_secs(2);
/// Longest time for a write: the lease must hold for longer when it begins.
pub const WRITE: Duration = Duration::from_secs(2);

/// Pods whose deletion cost is written at once.
const COSTS_AT_ONCE: usize = 8;
/// The deletion cost of a pod that is to go first; one without an annotation has 0.
const COST: &str = "-1000";

/// Which way a write goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To more replicas.
    Up,
    /// To fewer.
    Down,
}

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

/// Gives each pod a deletion cost, or takes it away; gives those that are not as asked then. Not even tried unless the lease
/// holds for as long as the writes may take.
pub async fn costs(client: Client, leadership: &Leadership, epoch: u64, namespace: &str, pods: Vec<Cost>) -> Unmarked {
    let api: Api<Pod> = Api::namespaced(client, namespace);
    let api = &api;
    let write = |pod: Cost| async move {
        if leadership.good_for(WRITE).is_none_or(|term| term.epoch != epoch) {
            return None;
        }
        let cost = pod.first.then_some(COST);
        // With its UID: another pod of that name is not meant.
        let patch = json!({"metadata": {"uid": pod.uid, "annotations": {labels::POD_DELETION_COST: cost}}});
        let params =
            PatchParams { field_manager: Some(names::AUTOSCALER_MANAGER.to_owned()), ..PatchParams::default() };
        match within(WRITE, api.patch_metadata(&pod.name, &params, &Patch::Merge(patch))).await {
            Ok(now) if now.annotations().contains_key(labels::POD_DELETION_COST) == pod.first => None,
            Ok(_) => Some((pod.uid, "somebody undoes it on its way, as an admission webhook may".to_owned())),
            Err(error) if matches!(error.status(), Some(404 | 409)) => None,
            Err(error) => {
                warn!(%error, namespace, pod = pod.name, "A pod's deletion cost could not be written.");
                Some((pod.uid, error.refusal().map_or_else(|| error.to_string(), str::to_owned)))
            }
        }
    };
    let failed: Vec<(String, String)> =
        stream::iter(pods).map(write).buffer_unordered(COSTS_AT_ONCE).filter_map(ready).collect().await;
    let words = failed.first().map(|(_, words)| words.clone()).unwrap_or_default();
    Unmarked { pods: failed.into_iter().map(|(pod, _)| pod).collect(), words }
}

/// Gives a pod (UID) that CPU limit, in place: its container goes on running. Not even tried unless the lease holds for as
/// long as the write may take.
pub async fn cpu_limit(
    client: Client,
    leadership: &Leadership,
    epoch: u64,
    (namespace, name): (&str, &str),
    uid: &str,
    limit: &str,
) -> Resized {
    if leadership.good_for(WRITE).is_none_or(|term| term.epoch != epoch) {
        return Resized::NotNow;
    }
    let api: Api<Pod> = Api::namespaced(client, namespace);
    // Strategic: containers are merged by name, and what a webhook has added stays.
    let container = json!({"name": names::CONTAINER, "resources": {"limits": {"cpu": limit}}});
    let patch = Patch::Strategic(json!({"metadata": {"uid": uid}, "spec": {"containers": [container]}}));
    let params = PatchParams { field_manager: Some(names::AUTOSCALER_MANAGER.to_owned()), ..PatchParams::default() };
    match within(WRITE, api.patch_resize(name, &params, &patch)).await {
        Ok(_) => Resized::Done,
        Err(error) => match (error.status(), error.refusal()) {
            (Some(404), _) => Resized::Gone,
            (Some(400 | 403 | 405 | 415 | 422), Some(words)) => Resized::Refused(words.to_owned()),
            _ => {
                warn!(%error, namespace, pod = name, "A pod could not be given its own CPU limit; trying again.");
                Resized::Failed
            }
        },
    }
}

/// Pods whose deletion costs are not as asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unmarked {
    /// Their UIDs.
    pub pods: BTreeSet<String>,
    /// Why, of one of them.
    pub words: String,
}

/// A pod's deletion cost that is to be written.
#[derive(Clone, Debug)]
pub struct Cost {
    /// Its UID.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Whether it is to go before others; else its cost is taken away.
    pub first: bool,
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
