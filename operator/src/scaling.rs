//! The scaling side of the leader: gives each function as many replicas as its load needs, brings idle functions, retired
//! revisions and failed starts to zero, and brings a new revision to the size of the old one.
//!
//! Decisions are pure and take `now`: [`view`] is a Function as the stores show it, [`function`] decides about it with
//! [`decision`] (how many replicas), [`drain`] (fewer without losing a request) and [`starts`] (ever more rarely), [`resize`]
//! (down to the own CPU limit after a start), [`known`] says whose word is needed, [`calendar`] and [`schedule`] what the time
//! of day asks for.
//! [`scaler`] is the one task that feeds them and carries out what they say, by way of [`mod@write`] and [`ledger`].

pub mod busy;
pub mod calendar;
pub mod decision;
pub mod drain;
pub mod function;
pub mod handle;
pub mod known;
pub mod ledger;
pub mod metrics;
pub mod order;
pub mod resize;
pub mod scaler;
pub mod schedule;
pub mod starts;
mod tell;
pub mod view;
pub mod waiting;
pub mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use ::link::{pin::Identity, v1::Orders};
use jiff::Timestamp;
use kube::Client;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    boost::Refusals,
    events::Events,
    failure::Verdicts,
    leadership::{Leadership, Term},
    link::{Board, publish, server, service::Service, token::Tokens},
    stores::Stores,
};

pub use handle::Handle;
pub use metrics::Metrics;

use ledger::Ledger;
use scaler::Scaler;

/// Pause before the link server is started again after it failed.
const RESTART: Duration = Duration::from_secs(1);

/// Where the link server is, and whom it serves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Rouse's own namespace.
    pub namespace: String,
    /// Address of this pod, at which activators reach it.
    pub pod_ip: IpAddr,
    /// Port to listen on; 0 = any.
    pub link_port: u16,
    /// Name of the activators' ServiceAccount, in Rouse's own namespace.
    pub activator_service_account: String,
}

/// Everything that scaling works with. Lives as long as the process.
pub struct Context {
    /// For single requests, without retries of its own.
    pub client: Client,
    /// The link server.
    pub settings: Settings,
    /// What is known of the cluster.
    pub stores: Stores,
    /// Failed starts.
    pub verdicts: Verdicts,
    /// Functions that start with their own CPU limit, because resizing was refused.
    pub refusals: Refusals,
    /// For `kubectl describe`.
    pub events: Events,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// What the reconcilers see of scaling.
    pub handle: Handle,
    /// Metrics.
    pub metrics: Metrics,
    /// The time of day, which schedules go by; everything else goes by the monotonic clock.
    pub wall: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// Scales for one term, and serves the activators. It does not return: drop it, and everything stops at once. Call it
/// when the stores are listed.
pub async fn run(cx: Arc<Context>, term: Term) {
    let over = CancellationToken::new();
    // Streams run in tasks of the transport's; this ends them when this future is dropped.
    let _over = over.clone().drop_guard();
    let served = Arc::clone(&cx);
    let hear = |board: Arc<Board>, orders: watch::Receiver<Arc<Orders>>| async move {
        let cx = served;
        loop {
            let tokens = Tokens::new(cx.client.clone(), &cx.settings.namespace, &cx.settings.activator_service_account);
            let metrics = cx.metrics.link.clone();
            let service = Service::new(Arc::clone(&board), tokens, orders.clone(), over.clone(), metrics);
            match serve(&cx, service, over.clone()).await {
                Ok(()) => error!("The link server has ended; starting it again."),
                Err(error) => error!(%error, "The link server failed; starting it again."),
            }
            sleep(RESTART).await;
        }
    };
    hearing(cx, term, hear).await;
}

/// As [`run`], with activators heard in the way of `hear`, which gets the board on which to put what they say and the
/// orders to tell them.
pub async fn hearing<H, F>(cx: Arc<Context>, term: Term, hear: H)
where
    H: FnOnce(Arc<Board>, watch::Receiver<Arc<Orders>>) -> F,
    F: Future<Output = ()>,
{
    let board = Arc::new(Board::new(cx.metrics.link.clone()));
    let _shown = cx.handle.show(&board);
    let (ledger, orders) = Ledger::new(term.epoch, Instant::now().into_std());
    let heard = hear(Arc::clone(&board), orders);
    let scale = Scaler::new(Arc::clone(&cx), term.epoch, board, ledger).run();
    tokio::join!(heard, scale);
}

/// The link server could not be started, or failed.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Identity(#[from] ::link::pin::IdentityError),
    #[error("the port cannot be listened on: {0}")]
    Listen(#[from] std::io::Error),
    #[error("the transport failed: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Makes an identity, listens, tells where, and serves.
async fn serve(cx: &Context, service: Service, over: CancellationToken) -> Result<(), ServeError> {
    let identity = Identity::generate()?;
    let listener = server::listen(cx.settings.link_port).await?;
    let address = SocketAddr::new(cx.settings.pod_ip, listener.local_addr()?.port());
    info!(%address, "Listening for activators.");
    let announce = async {
        publish::announce(&cx.client, &cx.settings.namespace, &cx.leadership, address, &identity.fingerprint).await;
        std::future::pending().await
    };
    tokio::select! {
        served = server::serve(listener, &identity, service, over) => Ok(served?),
        never = announce => never,
    }
}
