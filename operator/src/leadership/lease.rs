//! Runs the lease manager: for ever, over errors, until told to stop.

use std::time::Duration;

use crds::names;
use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError, LeaseParams};
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Settings;

/// Pause after an error.
const RETRY: Duration = Duration::from_secs(1);
/// How often a standby looks whether the leader has released the Lease. The manager itself sleeps until it would have
/// expired.
const LOOK: Duration = Duration::from_secs(2);
/// Longest time for giving the Lease back at the end.
const RELEASE: Duration = Duration::from_secs(4);

/// Why a manager is of no more use.
enum End {
    Stopped,
    /// Another one is needed: the Lease was deleted, or it is free before the manager looks again.
    Renew,
}

/// Who contends.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    /// What it is called in the Lease. Nobody else ever is.
    pub(super) identity: String,
    /// Of its own too: two that take a free Lease at the same time are told apart by the conflict between their field
    /// managers, and by nothing else.
    pub(super) field_manager: String,
}

/// Contends for the Lease until `stop`; `says` is whether the manager thinks that it holds it.
pub(super) async fn contend(
    client: Client,
    settings: &Settings,
    candidate: &Candidate,
    says: &watch::Sender<bool>,
    stop: &CancellationToken,
) {
    // Renewed three times in a lease's duration: two renewals may fail.
    let seconds = settings.duration.as_secs();
    let params = LeaseParams::new(&candidate.identity, seconds, seconds - seconds / 3)
        .with_field_manager(&candidate.field_manager);
    while !stop.is_cancelled() {
        let manager = LeaseManagerBuilder::new(client.clone(), names::LEASE)
            .with_namespace(&settings.namespace)
            .with_parameters(params.clone())
            .build();
        let manager = tokio::select! {
            () = stop.cancelled() => return,
            manager = manager => manager,
        };
        match manager {
            Ok(manager) => {
                let end = hold(manager, &client, settings, says, stop).await;
                says.send_replace(false);
                if let End::Stopped = end {
                    return;
                }
            }
            Err(error) => {
                warn!(%error, "The Lease cannot be read or made; trying again.");
                pause(stop).await;
            }
        }
    }
}

/// Drives one manager.
async fn hold(
    manager: LeaseManager,
    client: &Client,
    settings: &Settings,
    says: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> End {
    let api: Api<Lease> = Api::namespaced(client.clone(), &settings.namespace);
    let mut leads = false;
    loop {
        let changed = tokio::select! {
            biased;
            () = stop.cancelled() => {
                says.send_replace(false);
                if leads {
                    release(manager).await;
                }
                return End::Stopped;
            }
            changed = manager.changed() => changed,
            () = released(&api), if !leads => return End::Renew,
        };
        match changed {
            Ok(holds) => {
                leads = holds;
                says.send_replace(holds);
            }
            Err(error) if is_gone(&error) => {
                warn!("The Lease was deleted; it is made again.");
                return End::Renew;
            }
            Err(error) => {
                warn!(%error, leads, "The Lease could not be renewed or looked at; trying again.");
                pause(stop).await;
            }
        }
    }
}

/// The manager never makes the Lease a second time, and would go on renewing one that is gone until it ran out.
fn is_gone(error: &LeaseManagerError) -> bool {
    match error {
        LeaseManagerError::NonexistentLease(_) => true,
        LeaseManagerError::KubeError(kube::Error::Api(answer)) => answer.code == 404,
        _ => false,
    }
}

/// Gives the Lease back. In a task of its own, because the manager panics on a conflict here.
async fn release(manager: LeaseManager) {
    let task = tokio::spawn(async move { manager.release().await });
    match tokio::time::timeout(RELEASE, task).await {
        Ok(Ok(Ok(()))) => info!("The Lease is released."),
        Ok(Ok(Err(error))) => warn!(%error, "The Lease could not be released; it runs out by itself."),
        Ok(Err(_)) | Err(_) => warn!("The Lease could not be released; it runs out by itself."),
    }
}

/// Waits until nobody holds the Lease.
async fn released(api: &Api<Lease>) {
    loop {
        sleep(LOOK).await;
        // The client has a deadline of its own, and an error is the manager's to tell.
        let Ok(lease) = api.get(names::LEASE).await else { continue };
        let holder = lease.spec.and_then(|spec| spec.holder_identity);
        if holder.is_none_or(|holder| holder.is_empty()) {
            return;
        }
    }
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = sleep(RETRY) => {}
    }
}
