//! Where the leader listens and what its certificate is, from the Lease.

use std::net::SocketAddr;
use std::pin::pin;

use crds::{labels, names};
use futures::StreamExt as _;
use k8s_openapi::api::coordination::v1::Lease;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio::sync::watch::Sender;
use tracing::warn;

use crate::watch::Doubling;

/// A leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leader {
    pub(super) address: SocketAddr,
    pub(super) fingerprint: String,
}

impl Leader {
    fn of(lease: &Lease) -> Option<Self> {
        let annotation = |name: &str| lease.annotations().get(name);
        Some(Self {
            address: annotation(labels::LINK_ADDRESS)?.parse().ok()?,
            fingerprint: annotation(labels::LINK_FINGERPRINT)?.clone(),
        })
    }
}

/// Follows the Lease for ever. A Lease that names nobody leaves the last leader in place: it may still be there.
pub(super) async fn follow(client: Client, namespace: &str, leaders: Sender<Option<Leader>>) {
    let leases: Api<Lease> = Api::namespaced(client, namespace);
    let mut seen = pin!(watcher::watch_object(leases, names::LEASE).backoff(Doubling::default()));
    while let Some(lease) = seen.next().await {
        match lease {
            Ok(lease) => {
                if let Some(leader) = lease.as_ref().and_then(Leader::of) {
                    leaders.send_if_modified(|present| {
                        let new = present.as_ref() != Some(&leader);
                        if new {
                            *present = Some(leader);
                        }
                        new
                    });
                }
            }
            Err(error) => warn!(%error, "The leader's Lease could not be watched; trying again."),
        }
    }
}
