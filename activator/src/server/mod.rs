//! Callers' connections: accepted, served, and let go of when the process stops.

mod admission;
mod callers;
mod connection;
mod deadline;
mod io;
mod listen;
mod peers;
mod quiet;
mod streams;
#[cfg(test)]
mod tests;
mod upload;
pub mod workers;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::{debug, info, warn};

pub use callers::Callers;
pub use deadline::{Deadline, within};
pub use io::Peer;
pub use upload::{Pace, Reading, Slow};

use crate::args::Limits;
use crate::metrics::Metrics;
use crate::path::body::ResponseBody;
use crate::path::call::Accepted;
use crate::path::room;
use admission::Admission;
use peers::Peers;
use quiet::Quiet;

/// The process is out of file descriptors or memory: a little later some connection has closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all connections of the process share.
#[derive(Clone, Debug)]
pub struct Room {
    connections: Arc<Semaphore>,
    peers: Arc<Peers>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    /// For what callers of held requests send meanwhile.
    ahead: Arc<room::Room>,
    /// Counted here.
    pub callers: Arc<Callers>,
}

impl Room {
    /// For as many connections as there may be.
    pub fn new(limits: &Arc<Limits>, metrics: &Arc<Metrics>) -> Self {
        let connections = limits.max_connections.get().min(Semaphore::MAX_PERMITS);
        Self {
            connections: Arc::new(Semaphore::new(connections)),
            peers: Peers::new(limits.max_connections_per_peer.get()),
            limits: Arc::clone(limits),
            metrics: Arc::clone(metrics),
            ahead: room::Room::new(limits.max_ahead_bytes),
            callers: Arc::default(),
        }
    }
}

/// Accepts connections until `stop`, and serves each with a copy of `path`. From `stop` on, nothing is accepted, idle
/// connections are closed, and the others are told that their present requests are the last ones (`Connection: close`,
/// GOAWAY). Returns when all have ended, or when `cut` breaks off what is left.
pub async fn serve<P>(listener: TcpListener, path: P, room: Room, stop: CancellationToken, cut: CancellationToken)
where
    P: Service<Accepted, Response = Response<ResponseBody>, Error = Infallible, Future: Future + Send + 'static>
        + Clone
        + Send
        + 'static,
{
    let tasks = TaskTracker::new();
    let accept = async {
        loop {
            // Closed by nobody: a permit always comes when a connection ends.
            let Ok(permit) = Arc::clone(&room.connections).acquire_owned().await else { return };
            let (stream, address) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "A connection could not be accepted.");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(admitted) = room.peers.admit(address.ip()) else {
                room.metrics.crowded();
                debug!(peer = %address, "A connection was refused: its address has its share of them.");
                // Reset, so that nothing of it is left here. It fails only on a socket that has ended already.
                let _ = stream.set_zero_linger();
                continue;
            };
            let admission = Admission::new(permit, admitted, room.callers.enter());
            // Where it stays: moved into the task and pinned there, it would be kept three times.
            let serving =
                Box::pin(connection::serve(stream, address, path.clone(), room.clone(), admission, stop.clone()));
            let cut = cut.clone();
            tasks.spawn(async move {
                Quiet::new(cut.cancelled()).until(serving).await;
            });
        }
    };
    stop.run_until_cancelled(accept).await;
    drop(listener);
    tasks.close();
    info!(connections = tasks.len(), "No further connection is accepted.");
    tasks.wait().await;
}
