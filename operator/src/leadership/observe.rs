//! A client whose answers about the Lease are read on their way to the manager, and whose calls have a deadline.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Limited};
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime};
use kube::{Client, client::Body};
use tokio::{sync::watch, time::Instant};
use tower::{BoxError, Service};

/// Longest time for one call of the manager: well below a lease's duration, so that there is time for another.
const DEADLINE: Duration = Duration::from_secs(3);
/// Longest answer about a Lease, in bytes.
const LONGEST: usize = 1 << 20;

/// What the latest answers said about the Lease.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Seen {
    /// When the latest renewal by this process was *sent*; `None` while somebody else, or nobody, holds the Lease.
    pub renewed: Option<Instant>,
    /// The Lease's resource version.
    pub version: Option<u64>,
    /// How often this process was seen to acquire the Lease.
    pub acquisitions: u64,
    /// The renewal's own time, to tell a renewal from another look at the old one.
    renew_time: Option<MicroTime>,
    acquire_time: Option<MicroTime>,
}

impl Seen {
    /// Takes over an answer. `sent`: when the request left, if it was a write. A renewal that is only read back (the
    /// write timed out and took place all the same) extends nothing: nobody knows when it was sent.
    pub(super) fn take(&mut self, lease: &Lease, identity: &str, sent: Option<Instant>) {
        self.version = lease.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
        let Some(spec) = lease.spec.as_ref().filter(|spec| spec.holder_identity.as_deref() == Some(identity)) else {
            self.renewed = None;
            self.renew_time = None;
            self.acquire_time = None;
            return;
        };
        if spec.acquire_time != self.acquire_time {
            self.acquire_time.clone_from(&spec.acquire_time);
            self.acquisitions += 1;
            self.renewed = None;
        }
        if spec.renew_time != self.renew_time {
            self.renew_time.clone_from(&spec.renew_time);
            self.renewed = sent.or(self.renewed);
        }
    }
}

/// `client` with a deadline on each call, and what its answers say about the Lease.
pub(super) fn client(client: Client, namespace: &str, identity: &str) -> (Client, watch::Receiver<Seen>) {
    let (publish, seen) = watch::channel(Seen::default());
    let observed = Observed { inner: client, identity: identity.into(), publish: Arc::new(publish) };
    (Client::new(observed, namespace), seen)
}

#[derive(Clone)]
struct Observed {
    inner: Client,
    identity: Arc<str>,
    publish: Arc<watch::Sender<Seen>>,
}

impl Service<Request<Body>> for Observed {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        async move {
            let sent = Instant::now();
            let writes = request.method() != Method::GET;
            let exchange = async {
                let (head, body) = this.inner.send(request).await?.into_parts();
                let bytes = Limited::new(body, LONGEST).collect().await?.to_bytes();
                Ok::<_, BoxError>((head, bytes))
            };
            let (head, bytes) = tokio::time::timeout(DEADLINE, exchange).await??;
            if head.status.is_success()
                && let Ok(lease) = serde_json::from_slice::<Lease>(&bytes)
            {
                this.publish.send_modify(|seen| seen.take(&lease, &this.identity, writes.then_some(sent)));
            }
            Ok(Response::from_parts(head, Body::from(bytes)))
        }
        .boxed()
    }
}
