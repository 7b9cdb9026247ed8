//! The ConfigMap with a revision's code. It is not watched, which would need the right to list every ConfigMap of the
//! cluster: it is made before the Deployment and is immutable, so a Deployment says that it is there. It goes before the
//! Deployment, too, so one that comes back at zero does not say so, and where a pod says that it is not, it is made again.

use std::sync::Arc;

use crds::Reason;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api,
    api::{DeleteParams, Preconditions},
};
use runtime::{client::within, failure::Failure};
use tracing::info;

use super::{
    DEADLINE, Stop,
    child::{Made, child, create, may_write},
    owner::{self, Owner},
    replicas,
};
use crate::{
    context::Context,
    function::{plan::config_map, rollout::Rollout, validate::Valid},
    metrics::ApiWrite,
};

/// Makes sure that the code is there. `deployment`: that of its revision; `failure`: why that does not start. It is asked
/// for again where the revision is about to take over with a Deployment of before.
pub(super) async fn ensure(
    cx: &Context,
    valid: &Valid,
    deployment: Option<&Arc<Deployment>>,
    rollout: &Rollout,
    failure: Option<&Failure>,
) -> Result<(), Stop> {
    let is_missing = failure.is_some_and(|failure| failure.reason == Reason::ContainerConfigError);
    let takes_over = matches!(rollout, Rollout::Switch | Rollout::Grow { .. });
    let comes_back = takes_over && deployment.is_some_and(|deployment| replicas(deployment) == 0);
    if deployment.is_some() && !comes_back && !is_missing {
        return Ok(());
    }
    let Some(want) = config_map(valid) else { return Ok(()) };
    match create(cx, valid, &want).await? {
        Made::Now(_) => Ok(()),
        // Its name can be known before it is there.
        Made::Before(there) if there.data != want.data || there.immutable != want.immutable => {
            Err(Stop::Taken(child(&want)))
        }
        Made::Before(_) => Ok(()),
    }
}

/// Deletes the code of a revision that nothing runs of, if it is there and ours.
pub(super) async fn delete(cx: &Context, valid: &Valid, revision: &str) -> Result<(), Stop> {
    let api: Api<ConfigMap> = Api::namespaced(cx.client.clone(), &valid.namespace);
    let there = match within(DEADLINE, api.get_opt(revision)).await {
        Ok(there) => there.filter(|there| owner::of(there, valid) == Owner::Ours),
        Err(error) => return Err(Stop::of(super::Child { kind: "ConfigMap", name: revision.to_owned() }, error)),
    };
    let Some(there) = there else { return Ok(()) };
    let child = child(&there);
    may_write(cx)?;
    let preconditions = Some(Preconditions {
        uid: there.metadata.uid.clone(),
        resource_version: there.metadata.resource_version.clone(),
    });
    match within(DEADLINE, api.delete(revision, &DeleteParams { preconditions, ..DeleteParams::background() })).await {
        Ok(_) => {
            info!(namespace = valid.namespace, child = %child, "Deleted with its revision.");
            cx.metrics.wrote(ApiWrite::Delete);
            Ok(())
        }
        Err(error) if super::child::is_stale(&error) => Ok(()),
        Err(error) => Err(Stop::of(child, error)),
    }
}
