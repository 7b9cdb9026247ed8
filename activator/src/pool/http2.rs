//! HTTP/2 to a pod: one connection carries every request, as long as the pod takes so many on one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use http::Request;
use http::request::Parts;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::census::Alive;
use super::http1::HEAD;
use super::streams::{Stream, Streams};
use super::{Broken, Connection, Connector, Exchange, PodBody, Refused, SendError};
use crate::net::TcpStream;
use crate::path::body::RequestBody;

/// A pod that vanished without a word is noticed after this and [`PING_TIMEOUT`].
const PING_EVERY: Duration = Duration::from_secs(10);
/// See [`PING_EVERY`].
const PING_TIMEOUT: Duration = Duration::from_secs(5);
/// Response bytes that a slow caller may leave here, a stream. Bounds the memory of a download.
const STREAM_WINDOW: u32 = 128 * 1024;
/// The same for all streams together. Those of a caller that takes nothing of a hundred answers fit, or they would stop the
/// answers to all others.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// A request that finds a connection closed tries another one this often.
const FOUND_CLOSED: u32 = 3;

/// Connections to one pod, of each worker. Who finds all of them full waits on the least full one.
const MOST: usize = 4;

type Sender = SendRequest<RequestBody>;
type Opening = Shared<BoxFuture<'static, Result<Sender, Arc<Refused>>>>;

/// The connections of one pod.
#[derive(Default)]
pub(super) struct Connections {
    lanes: Mutex<Vec<Lane>>,
}

/// A connection that is open or is being opened.
struct Lane {
    opening: Opening,
    streams: Arc<Streams>,
}

impl Lane {
    fn open(connector: &Connector) -> Self {
        let (connector, streams) = (connector.clone(), Streams::new());
        let own = Arc::clone(&streams);
        let opening = async move {
            let opened = connector.connect(|stream, alive| handshake(stream, alive, own)).await;
            opened.map_err(Arc::new)
        };
        let opening = opening.boxed().shared();
        // It goes on when every request that waits for it has been given up: the next one would find it as it was then, in
        // the middle of a connect that is long over.
        tokio::spawn(opening.clone());
        Self { opening, streams }
    }

    fn is_usable(&self) -> bool {
        match self.opening.peek() {
            None => true,
            Some(Ok(sender)) => !sender.is_closed(),
            Some(Err(_)) => false,
        }
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

impl Connections {
    fn lanes(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream on a connection that is open, or is being opened, or on a new one: however many ask, one is opened, unless the
    /// pod does not take so many on it.
    fn current(&self, connector: &Connector) -> (Opening, Stream) {
        let mut lanes = self.lanes();
        lanes.retain(Lane::is_usable);
        let found = lanes.iter().find(|lane| lane.streams.has_room());
        let full = || lanes.iter().min_by_key(|lane| lane.streams.now()).filter(|_| lanes.len() == MOST);
        if let Some(lane) = found.or_else(full) {
            return (lane.opening.clone(), lane.streams.open());
        }
        let lane = Lane::open(connector);
        let current = (lane.opening.clone(), lane.streams.open());
        lanes.push(lane);
        current
    }

    /// Whether requests wait for others to end, as the pod takes no more at once.
    pub(super) fn is_crowded(&self) -> bool {
        self.lanes().iter().any(|lane| lane.streams.is_crowded())
    }

    pub(super) fn close(&self) {
        self.lanes().clear();
    }

    /// See [`super::Pool::send`]. A stream that the pod refuses, or that is above its GOAWAY, was not looked at (RFC 9113,
    /// sections 6.8 and 8.7): it comes back unsent, if none of its body has been read or all of that was kept.
    pub(super) async fn send(
        &self,
        connector: &Connector,
        mut request: Box<Request<RequestBody>>,
    ) -> Result<Exchange, SendError> {
        let mut found_closed = 0;
        loop {
            let (opening, stream) = self.current(connector);
            let on = if opening.peek().is_some() { Connection::Old } else { Connection::New };
            let opened = opening.await.map_err(Refused::Shared);
            let mut sender = match opened.and_then(|sender| connector.check().map(|()| sender)) {
                Ok(sender) => sender,
                Err(cause) => return Err(SendError::Unsent { request, cause }),
            };
            let head = head(&request);
            let body = request.body_mut().share();
            let mut error = match sender.try_send_request(*request).await {
                Ok(response) => {
                    stream.answered();
                    return Ok(response.map(|body| PodBody::Http2(body, stream)));
                }
                Err(error) => error,
            };
            let back = error.take_message();
            let error = error.into_error();
            let Some(back) = back else {
                let spare = is_unread(&error).then(|| body.map_or(Some(RequestBody::empty()), |body| body.take_back()));
                return Err(match spare.flatten() {
                    Some(body) => {
                        let request = Box::new(Request::from_parts(head, body));
                        SendError::Unsent { request, cause: Refused::TurnedAway(error) }
                    }
                    None => {
                        let on = if is_reset(&error) { Connection::New } else { on };
                        SendError::Broken { head: Box::new(head), error: Broken::Http2(error), on }
                    }
                });
            };
            found_closed += 1;
            if found_closed == FOUND_CLOSED {
                return Err(SendError::Unsent { request: Box::new(back), cause: Refused::Protocol(error) });
            }
            request = Box::new(back);
        }
    }
}

fn is_unread(error: &hyper::Error) -> bool {
    // `NO_ERROR` on a GOAWAY closes streams above its last id, which hyper reports with that reason.
    cause(error).is_some_and(|h2| {
        h2.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// The stream, and not the connection.
fn is_reset(error: &hyper::Error) -> bool {
    cause(error).is_some_and(h2::Error::is_reset)
}

fn cause(error: &hyper::Error) -> Option<&h2::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(h2) = inner.downcast_ref() {
            return Some(h2);
        }
        cause = inner.source();
    }
    None
}

fn head(request: &Request<RequestBody>) -> Parts {
    let (mut head, ()) = Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = request.uri().clone();
    head.version = request.version();
    head.headers = request.headers().clone();
    head
}

async fn handshake(stream: TcpStream, alive: Alive, streams: Arc<Streams>) -> hyper::Result<Sender> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(HEAD as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(async move {
        let _alive = alive;
        streams.serve(connection).await
    });
    Ok(sender)
}
