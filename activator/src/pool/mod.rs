//! Connections to one pod at one address. A pool belongs to a pod's UID and ends with it, or with the pod's loss of the
//! address: a closed pool opens no connection and sends no request, not even one that holds the pool already, so an IP that
//! another pod gets never receives a request meant for this one.

mod body;
mod census;
mod connect;
mod error;
mod http1;
mod http2;
mod streams;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use crds::function::Protocol;
use http::request::Parts;
use http::{Request, Response};
use thiserror::Error;

pub use body::PodBody;
pub use census::Census;
use connect::Connector;
pub use connect::Refused;
pub use error::{Broken, NOT_HTTP};
pub use http1::Switched;

use crate::path::body::RequestBody;
use crate::pods::Target;
use crate::server::workers;

/// A request whose loss could not be made good never goes out on a connection that was unused for longer than this: Node,
/// gunicorn and uvicorn close theirs after 2 to 5 s, and a request that crosses the closing is lost.
const FRESH: Duration = Duration::from_secs(1);

/// Why a request got no response.
#[derive(Debug, Error)]
pub enum SendError {
    /// No byte of it reached the pod's application: it can go elsewhere.
    #[error("the pod could not be reached: {cause}")]
    Unsent {
        /// The request, as it was.
        request: Box<Request<RequestBody>>,
        /// Why.
        cause: Refused,
    },
    /// It may have been received.
    #[error("the exchange broke: {error}")]
    Broken {
        /// The request's head, as it was.
        head: Box<Parts>,
        /// How.
        #[source]
        error: Broken,
        /// Whether there is reason to blame the pod.
        on: Connection,
    },
    /// It may have been received, and is not waited for any longer: see [`Pool::give_up`].
    #[error("the pod gives no answers")]
    GivenUp {
        /// The request's head, as it was.
        head: Box<Parts>,
    },
}

/// The connection that broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// One that was opened for this request, or one of which only the request's own stream broke.
    New,
    /// One that was there. It may have been closed, rightly, as the request was sent.
    Old,
    /// One of a pool that is closed by now: the pod has gone.
    Closed,
}

/// A response on its connection.
pub type Exchange = Response<PodBody>;

/// The connections to one pod at one address.
#[derive(Debug)]
pub struct Pool {
    target: Target,
    connector: Connector,
    /// By worker.
    shares: Box<[Share]>,
}

/// Those of one worker: a connection is read and written on the thread that opened it.
#[derive(Debug, Default)]
struct Share {
    http1: Arc<http1::Connections>,
    http2: http2::Connections,
}

impl Pool {
    /// Without a connection.
    pub fn new(target: Target) -> Self {
        let connector = Connector::new(target.address);
        Self { target, connector, shares: (0..workers::count()).map(|_| Share::default()).collect() }
    }

    /// Where it leads.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Sends a request and waits for the response's head, without a limit of its own. Connects before the body is polled.
    ///
    /// `old`: its loss can be made good. It may go out on a connection that was unused for a while, and be given up.
    ///
    /// # Errors
    /// [`SendError::Unsent`] with the request, the cause [`Refused::Closed`] if the pool is closed by now, or
    /// [`SendError::Broken`], or [`SendError::GivenUp`].
    pub async fn send(&self, request: Box<Request<RequestBody>>, old: bool) -> Result<Exchange, SendError> {
        // There are as many as workers, and one at least.
        let share = &self.shares[workers::index() % self.shares.len()];
        let sent = match self.target.protocol {
            Protocol::HTTP1 => http1::send(&share.http1, &self.connector, request, old).await,
            // On the heap, not in what every request takes.
            Protocol::H2C => Box::pin(share.http2.send(&self.connector, request)).await,
        };
        sent.map_err(|lost| match (lost, self.connector.check()) {
            (SendError::Unsent { request, .. }, Err(cause)) => SendError::Unsent { request, cause },
            (SendError::Broken { head, error, .. }, Err(_)) => {
                SendError::Broken { head, error, on: Connection::Closed }
            }
            (lost, _) => lost,
        })
    }

    /// The pod is not alive: requests that have no answer yet, and whose loss can be made good, are not waited for any
    /// longer. Over HTTP/2 the connection's own pings see to that, for all of its requests.
    pub fn give_up(&self) {
        self.shares.iter().for_each(|share| share.http1.give_up());
    }

    /// Whether requests of this worker wait here for others to end, as the pod takes no more at once.
    pub fn is_crowded(&self) -> bool {
        self.shares[workers::index() % self.shares.len()].http2.is_crowded()
    }

    /// How many connections there are now.
    pub fn connections(&self) -> Census {
        Census { open: self.connector.open(), idle: self.shares.iter().map(|share| share.http1.idle()).sum() }
    }

    /// Closes connections that have been unused for longer than `most`.
    pub fn sweep(&self, most: Duration) {
        self.shares.iter().for_each(|share| share.http1.sweep(most));
    }

    /// Closes unused connections now and the others when they become so; no request goes out any more. Exchanges that have
    /// begun go on.
    pub fn close(&self) {
        self.connector.close();
        for share in &self.shares {
            share.http1.close();
            share.http2.close();
        }
    }
}

#[cfg(test)]
mod tests;
