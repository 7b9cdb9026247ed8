//! Tells activators where the leader is and which certificate it has: annotations of the Lease.

use std::{net::SocketAddr, time::Duration};

use crds::{labels, names};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::leadership::Leadership;

/// Longest time for a read or a write.
const DEADLINE: Duration = Duration::from_secs(2);
/// Pause after a failure, doubled with each up to [`RETRY_MOST`].
const RETRY: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// Writes address and fingerprint to the Lease; tries until it has worked. Call it once the server listens.
///
/// The write carries the resource version of a Lease that was read within this term, so that a leader of old never
/// overwrites its successor's.
pub async fn announce(
    client: &Client,
    namespace: &str,
    leadership: &Leadership,
    address: SocketAddr,
    fingerprint: &str,
) {
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let mut pause = RETRY;
    loop {
        match write(&api, leadership, address, fingerprint).await {
            Ok(true) => {
                info!(%address, fingerprint, "Activators are told where to attach.");
                return;
            }
            // The Lease was renewed meanwhile, or the term is about to end.
            Ok(false) => {}
            Err(error) => warn!(%error, "The link's address could not be written to the Lease; trying again."),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MOST);
    }
}

/// One try; `false`: not now.
async fn write(
    api: &Api<Lease>,
    leadership: &Leadership,
    address: SocketAddr,
    fingerprint: &str,
) -> Result<bool, CallError> {
    let lease = within(DEADLINE, api.get(names::LEASE)).await?;
    if leadership.good_for(DEADLINE).is_none() {
        return Ok(false);
    }
    let patch = json!({
        "metadata": {
            "resourceVersion": lease.metadata.resource_version,
            "annotations": {
                labels::LINK_ADDRESS: address.to_string(),
                labels::LINK_FINGERPRINT: fingerprint,
            },
        },
    });
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    match within(DEADLINE, api.patch(names::LEASE, &params, &Patch::Merge(patch))).await {
        Ok(_) => Ok(true),
        Err(error) if error.status() == Some(409) => Ok(false),
        Err(error) => Err(error),
    }
}
