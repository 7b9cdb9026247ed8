//! The gRPC service: authenticates a stream and hands it to [`exchange`].

use std::sync::Arc;

use link::v1::{Orders, Report, link_server::Link};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::sleep,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming, metadata::MetadataMap};
use tracing::{info, warn};

use super::{
    Board, Metrics, exchange, limits,
    server::Peer,
    token::{Bearer, Refusal, Tokens},
};

/// Serves the streams of one term.
pub struct Service {
    board: Arc<Board>,
    tokens: Tokens,
    orders: watch::Receiver<Arc<Orders>>,
    over: CancellationToken,
    places: Arc<Semaphore>,
    metrics: Metrics,
}

impl Service {
    /// `orders`: what holds now; each value is sent to every activator. `over`: ends every stream.
    pub fn new(
        board: Arc<Board>,
        tokens: Tokens,
        orders: watch::Receiver<Arc<Orders>>,
        over: CancellationToken,
        metrics: Metrics,
    ) -> Self {
        Self { board, tokens, orders, over, places: Arc::new(Semaphore::new(limits::STREAMS)), metrics }
    }

    async fn authenticate(&self, metadata: &MetadataMap) -> Result<Bearer, Refusal> {
        let header = metadata.get("authorization").and_then(|value| value.to_str().ok());
        let token = header.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refusal::NoToken)?;
        self.tokens.review(token).await
    }
}

#[tonic::async_trait]
impl Link for Service {
    type AttachStream = ReceiverStream<Result<Orders, Status>>;

    async fn attach(&self, request: Request<Streaming<Report>>) -> Result<Response<Self::AttachStream>, Status> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(Status::resource_exhausted("too many streams"));
        };
        let peer = request.extensions().get::<Peer>().cloned();
        let bearer = match self.authenticate(request.metadata()).await {
            Ok(bearer) => bearer,
            Err(refusal) => {
                self.metrics.refused.inc();
                warn!(%refusal, peer = ?peer.map(|peer| peer.address), "A stream was refused.");
                sleep(limits::REFUSAL).await;
                return Err(status(&refusal));
            }
        };
        if let Some(peer) = peer {
            peer.prove();
        }
        // One message at a time: what is older than the newest orders is never worth sending.
        let (sender, receiver) = mpsc::channel(1);
        let stream = exchange::Exchange {
            reports: request.into_inner(),
            orders: self.orders.clone(),
            sender: sender.clone(),
            metrics: self.metrics.clone(),
        };
        let (board, over) = (Arc::clone(&self.board), self.over.clone());
        tokio::spawn(async move {
            let _place = place;
            let pod = bearer.pod_name.clone();
            let end = tokio::select! {
                biased;
                () = over.cancelled() => exchange::End::TermOver,
                end = stream.run(&bearer, &board) => end,
            };
            info!(pod, %end, "The stream of an activator has ended.");
            if let Some(status) = end.status() {
                // If there is no room the peer is stuck and learns it from the closed stream.
                let _ = sender.try_send(Err(status));
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// What a refused caller is told. The API server's own words stay here.
fn status(refusal: &Refusal) -> Status {
    match refusal {
        Refusal::NoToken | Refusal::NotAuthenticated => Status::unauthenticated(refusal.to_string()),
        Refusal::OtherUser | Refusal::NotBound => Status::permission_denied(refusal.to_string()),
        Refusal::Unavailable(_) => Status::unavailable("the token cannot be reviewed now"),
    }
}
