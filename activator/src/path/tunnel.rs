//! Upgraded connections: bytes both ways until either side is done.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt as _;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;

use super::traffic::Traffic;
use crate::args::Limits;
use crate::metrics::Metrics;
use crate::pool::Switched;

/// Bytes in flight each way.
const BUFFER: usize = 16 * 1024;

/// The tunnels of this process. They outlast the request that began them, and are cut when the drain's time is up.
#[derive(Clone, Debug)]
pub struct Tunnels {
    tasks: TaskTracker,
    cut: CancellationToken,
    /// For so long one may be silent both ways.
    idle: Duration,
    metrics: Arc<Metrics>,
}

impl Tunnels {
    /// None yet; all end when `cut` is cancelled, and each when it has been silent for long.
    pub fn new(cut: CancellationToken, limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        let idle = if limits.tunnel_idle.is_zero() { Duration::MAX } else { limits.tunnel_idle };
        Self { tasks: TaskTracker::new(), cut, idle, metrics: Arc::clone(metrics) }
    }

    /// Joins the caller's connection, as soon as it is handed over, and the pod's. Holds `guards` until the end.
    ///
    /// `requestSeconds` does not apply: the response has ended with its head.
    pub fn join<G: Send + 'static>(&self, caller: OnUpgrade, pod: Switched, guards: G) {
        let (cut, idle, metrics) = (self.cut.clone(), self.idle, Arc::clone(&self.metrics));
        self.tasks.spawn(async move {
            let traffic = Traffic::new();
            let ended = tokio::select! {
                ended = cut.run_until_cancelled(copy(caller, pod, &traffic)) => ended,
                () = traffic.silent(idle) => {
                    metrics.idle_tunnel();
                    debug!("An upgraded connection was closed: it was silent for too long.");
                    None
                }
            };
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

async fn copy(
    caller: OnUpgrade,
    pod: Switched,
    traffic: &Traffic,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let caller = TokioIo::new(caller.await?);
    let Switched { stream, first } = pod;
    let (mut caller, mut pod) = (traffic.noted(caller), traffic.noted(stream));
    caller.write_all(&first).await?;
    tokio::io::copy_bidirectional_with_sizes(&mut caller, &mut pod, BUFFER, BUFFER).await?;
    Ok(())
}
