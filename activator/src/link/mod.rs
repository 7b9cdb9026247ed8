//! The stream to the operator's leader: counts up, orders down.
//!
//! While there is no leader, or none can be reached, everything else goes on: orders lapse by themselves, functions are woken
//! as ever, and the totals wait in their place for whoever asks next.

mod beacon;
mod dial;
mod leader;
mod ledger;
mod session;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

pub use beacon::Beacon;
use dial::{Dial, Tcp};
use leader::Leader;

use crate::index::Index;

/// Between two attempts at a leader: this, doubled up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(100);
/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_secs(2);
/// How often orders are looked through for such that lapsed.
const LAPSE: Duration = Duration::from_millis(100);

/// Who this activator is to the leader.
#[derive(Clone, Debug)]
pub struct Identity {
    /// New at each start of the process.
    pub boot_id: String,
    /// Of this pod.
    pub pod_name: String,
    /// Of this pod.
    pub pod_uid: String,
    /// Where the leader's Lease is.
    pub namespace: String,
    /// The service account token for the leader; read anew for each stream, as the kubelet replaces it.
    pub token_file: PathBuf,
}

/// Keeps a stream to whoever leads, until `stop`.
pub async fn run(client: Client, identity: Identity, index: Arc<Index>, beacon: Arc<Beacon>, stop: CancellationToken) {
    let (leaders, leader) = watch::channel(None);
    tokio::select! {
        () = stop.cancelled() => {}
        () = leader::follow(client, &identity.namespace, leaders) => {}
        () = keep(&Tcp, leader, &identity, &index, &beacon) => {}
    }
}

/// Keeps a stream to whoever `leader` names, and sees to it that orders lapse with or without one. Ends when nobody will
/// ever be named any more.
async fn keep<D: Dial>(
    dial: &D,
    mut leader: watch::Receiver<Option<Leader>>,
    identity: &Identity,
    index: &Index,
    beacon: &Beacon,
) {
    let attach = async {
        let mut pause = SHORTEST;
        loop {
            let Some(found) = leader.borrow_and_update().clone() else {
                if leader.changed().await.is_err() {
                    return;
                }
                continue;
            };
            let began = Instant::now();
            tokio::select! {
                ended = session::attend(dial, &found, identity, index, beacon) => {
                    match ended {
                        Ok(()) => info!(leader = %found.address, "The leader closed the stream."),
                        Err(error) => debug!(leader = %found.address, error = %error, "No stream to the leader."),
                    }
                }
                () = replaced(&mut leader, &found) => info!("There is another leader."),
            }
            beacon.set_attached(false);
            pause = if began.elapsed() > LONGEST { SHORTEST } else { (pause * 2).min(LONGEST) };
            tokio::select! {
                () = sleep(pause) => {}
                () = replaced(&mut leader, &found) => {}
            }
        }
    };
    let lapse = async {
        let mut every = tokio::time::interval(LAPSE);
        loop {
            every.tick().await;
            index.lapse(Instant::now());
        }
    };
    tokio::select! {
        () = attach => {}
        () = lapse => {}
    }
}

/// Resolves when the Lease names another leader than `present`.
async fn replaced(leader: &mut watch::Receiver<Option<Leader>>, present: &Leader) {
    // An error says that the process stops, which the caller sees for itself.
    if leader.wait_for(|now| now.as_ref().is_some_and(|now| now != present)).await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests;
