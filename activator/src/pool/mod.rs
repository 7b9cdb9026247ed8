//! Connections to one pod. A pool belongs to a pod's UID and ends with it: no connection outlives the pod it was opened
//! to, so an IP that another pod gets never receives a request meant for this one.

mod connect;
mod http1;
mod http2;
mod idle;

use std::sync::Arc;
use std::time::Duration;

use crds::function::Protocol;
use http::{Request, Response};
use hyper::body::Incoming;
use thiserror::Error;

pub use connect::{Refused, open};
pub use idle::Lease;

use crate::path::body::RequestBody;
use crate::pods::Target;

/// A request whose loss could not be made good never goes out on a connection that was unused for longer than this: Node,
/// gunicorn and uvicorn close theirs after 2 to 5 s, and a request that crosses the closing is lost.
const FRESH: Duration = Duration::from_secs(1);

/// Why a request got no response.
#[derive(Debug, Error)]
pub enum SendError {
    /// No byte of it reached the pod: it can go elsewhere.
    #[error("the pod could not be reached: {cause}")]
    Unsent {
        /// The request, as it was.
        request: Box<Request<RequestBody>>,
        /// Why.
        cause: Refused,
    },
    /// It may have been received, and its body cannot be sent again.
    #[error("the exchange broke: {0}")]
    Broken(#[source] hyper::Error),
}

/// A response, with the connection it comes on.
#[derive(Debug)]
pub struct Exchange {
    /// Head and body.
    pub response: Response<Incoming>,
    /// Gives an HTTP/1 connection back at the body's end.
    pub lease: Option<Lease>,
}

/// The connections to one pod.
#[derive(Debug)]
pub struct Pool {
    target: Target,
    http1: Arc<http1::Connections>,
    http2: http2::Connections,
}

impl Pool {
    /// Without a connection.
    pub fn new(target: Target) -> Self {
        Self { target, http1: Arc::default(), http2: http2::Connections::default() }
    }

    /// Where it leads.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Sends a request and waits for the response's head, without a limit of its own. Connects before the body is polled.
    ///
    /// `repeatable`: losing it is harmless, as it is idempotent and has no body. Such a request may use an older
    /// connection, and is sent once more on a new one if the old one breaks.
    ///
    /// # Errors
    /// [`SendError::Unsent`] with the request, or [`SendError::Broken`].
    pub async fn send(&self, request: Request<RequestBody>, repeatable: bool) -> Result<Exchange, SendError> {
        match self.target.protocol {
            Protocol::HTTP1 => http1::send(&self.http1, self.target.address, request, repeatable).await,
            Protocol::H2C => self.http2.send(self.target.address, request).await,
        }
    }

    /// Closes connections that have been unused for longer than `most`.
    pub fn sweep(&self, most: Duration) {
        self.http1.sweep(most);
    }

    /// Closes unused connections now and the others when they become so.
    pub fn close(&self) {
        self.http1.close();
        self.http2.close();
    }
}
