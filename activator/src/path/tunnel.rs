//! Upgraded connections: bytes both ways until either side is done.

use std::future::Future;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

/// Bytes in flight each way.
const BUFFER: usize = 16 * 1024;

/// The tunnels of this process. They outlast the request that began them, and are cut when the drain's time is up.
#[derive(Clone, Debug)]
pub struct Tunnels {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Tunnels {
    /// None yet; all end when `cut` is cancelled.
    pub fn new(cut: CancellationToken) -> Self {
        Self { tasks: TaskTracker::new(), cut }
    }

    /// Joins the caller's connection and the pod's, as soon as both are handed over. Holds `guards` until the end.
    ///
    /// `requestSeconds` does not apply: the response has ended with its head.
    pub fn join<G: Send + 'static>(&self, caller: OnUpgrade, pod: OnUpgrade, guards: G) {
        let cut = self.cut.clone();
        self.tasks.spawn(async move {
            let ended = cut.run_until_cancelled(copy(caller, pod)).await;
            if let Some(Err(error)) = ended {
                debug!(%error, "An upgraded connection broke.");
            }
            drop(guards);
        });
    }

    /// Resolves when there is none left, after [`Tunnels::join`] is called no more.
    pub fn done(&self) -> impl Future<Output = ()> + use<> {
        self.tasks.close();
        let tasks = self.tasks.clone();
        async move { tasks.wait().await }
    }
}

async fn copy(caller: OnUpgrade, pod: OnUpgrade) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (caller, pod) = tokio::try_join!(caller, pod)?;
    let (mut caller, mut pod) = (TokioIo::new(caller), TokioIo::new(pod));
    tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut pod, BUFFER, BUFFER).await?;
    Ok(())
}
