//! HTTP/2 to a pod: one connection carries every request.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::{Exchange, Refused, SendError, connect};
use crate::path::body::RequestBody;

/// A pod that vanished without a word is noticed after this and [`PING_TIMEOUT`].
const PING_EVERY: Duration = Duration::from_secs(10);
/// See [`PING_EVERY`].
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Response bytes that a slow caller may leave here, a stream. Bounds the memory of a download.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams together.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// A request that the pod turns away unread goes out again this often.
const TURNED_AWAY: u32 = 3;

type Sender = SendRequest<RequestBody>;
type Opening = Shared<BoxFuture<'static, Result<Sender, Arc<Refused>>>>;

/// The connection of one pod.
#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    opening: Option<Opening>,
    closed: bool,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    /// The connection that is open, or is being opened, or a new one: however many ask, one is opened.
    fn current(&self, address: SocketAddr) -> Opening {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let usable = |opening: &Opening| match opening.peek() {
            None => true,
            Some(Ok(sender)) => !sender.is_closed(),
            Some(Err(_)) => false,
        };
        match &state.opening {
            Some(opening) if usable(opening) => opening.clone(),
            _ => {
                let opening = handshake(address).map(|opened| opened.map_err(Arc::new)).boxed().shared();
                // A pool that was closed opens connections for the requests it still has, and keeps none.
                state.opening = (!state.closed).then(|| opening.clone());
                opening
            }
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        state.opening = None;
    }

    /// See [`super::Pool::send`]. A stream that the pod refuses, or that is above its GOAWAY, was not looked at (RFC 9113,
    /// sections 6.8 and 8.7): it goes out again, if none of its body has been read.
    pub(super) async fn send(
        &self,
        address: SocketAddr,
        mut request: Request<RequestBody>,
    ) -> Result<Exchange, SendError> {
        let mut turned_away = 0;
        loop {
            let mut sender = match self.current(address).await {
                Ok(sender) => sender,
                Err(cause) => {
                    return Err(SendError::Unsent { request: Box::new(request), cause: Refused::Shared(cause) });
                }
            };
            let spare = request.body_mut().share().map(|body| (request_head(&request), body));
            let mut error = match sender.try_send_request(request).await {
                Ok(response) => return Ok(Exchange { response, lease: None }),
                Err(error) => error,
            };
            let back = error.take_message();
            let error = error.into_error();
            let unread = is_unread(&error);
            request = match (back, spare) {
                (Some(request), _) => request,
                (None, Some((head, body))) if unread => match body.take_back() {
                    Some(body) => head.map(|()| body),
                    None => return Err(SendError::Broken(error)),
                },
                _ => return Err(SendError::Broken(error)),
            };
            turned_away += 1;
            if turned_away == TURNED_AWAY {
                return Err(SendError::Unsent { request: Box::new(request), cause: Refused::Protocol(error) });
            }
        }
    }
}

fn is_unread(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref::<h2::Error>() {
            // `NO_ERROR` on a GOAWAY closes streams above its last id, which hyper reports with that reason.
            return h2.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR));
        }
        cause = inner.source();
    }
    false
}

fn request_head(request: &Request<RequestBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}

async fn handshake(address: SocketAddr) -> Result<Sender, Refused> {
    let stream = connect::open(address).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    Ok(sender)
}
