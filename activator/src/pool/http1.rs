//! HTTP/1.1 to a pod: one request a connection at a time.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::census::Alive;
use super::idle::{Idle, Lease};
use super::{Connection, Connector, Exchange, FRESH, Refused, SendError};
use crate::net::TcpStream;
use crate::path::body::RequestBody;
use crate::wire::{Expects, Outlet};

/// Longest age of an unused connection for a request whose loss can be made good. The sweep closes older ones anyway.
const OLDEST: Duration = Duration::from_secs(60);
/// hyper's read buffer of a connection to a pod grows to this, in bytes.
const BUFFER: usize = 128 * 1024;
/// Longest head of a response, in bytes.
pub(super) const HEAD: u32 = 64 * 1024;

/// One connection: where requests go in.
#[derive(Debug)]
pub(super) struct Line {
    requests: SendRequest<RequestBody>,
    pub(super) expects: Expects,
    wait: Arc<Wait>,
}

/// What the request on a connection waits for, and the way to end that from another thread.
#[derive(Debug, Default)]
struct Wait {
    state: AtomicU8,
    task: OnceLock<AbortHandle>,
}

impl Wait {
    /// Nothing that could be made good: also the time between two requests.
    const NOTHING: u8 = 0;
    /// The head of the answer to a request that may be sent again.
    const HEAD: u8 = 1;
    /// Nothing any more: see [`Wait::give_up`].
    const GIVEN_UP: u8 = 2;

    fn begin(&self) {
        self.state.store(Self::HEAD, Ordering::Release);
    }

    /// Whether it was given up.
    fn end(&self) -> bool {
        self.state.swap(Self::NOTHING, Ordering::AcqRel) == Self::GIVEN_UP
    }

    /// Breaks the connection if its request waits for a head and may be sent again.
    fn give_up(&self) {
        let given_up =
            self.state.compare_exchange(Self::HEAD, Self::GIVEN_UP, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if let Some(task) = self.task.get().filter(|_| given_up) {
            task.abort();
        }
    }
}

impl Line {
    fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }
}

/// The connections of one pod.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Idle>,
    /// Every connection that is open, and some that were.
    open: Vec<Weak<Wait>>,
    closed: bool,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one used last that is fit for use. Looks no further than that or the first that is too old, as every other is
    /// older; those that have been closed are dropped on the way, and the sweep drops the rest of them.
    fn take(&self, most: Duration) -> Option<Line> {
        let now = Instant::now();
        let mut state = self.lock();
        for at in (0..state.idle.len()).rev() {
            let idle = &state.idle[at];
            if idle.line.is_closed() {
                state.idle.remove(at);
            } else if idle.is_older(now, most) {
                return None;
            } else if idle.line.requests.is_ready() {
                return Some(state.idle.remove(at).line);
            }
        }
        None
    }

    pub(super) fn put(&self, line: Line) {
        let mut state = self.lock();
        if !state.closed && !line.is_closed() {
            state.idle.push(Idle { line, since: Instant::now() });
        }
    }

    pub(super) fn sweep(&self, most: Duration) {
        let now = Instant::now();
        self.lock().idle.retain(|idle| !idle.line.is_closed() && !idle.is_older(now, most));
    }

    /// One more is open.
    fn opened(&self, line: &Line) {
        let mut state = self.lock();
        if state.open.len() == state.open.capacity() {
            state.open.retain(|wait| wait.strong_count() > 0);
        }
        state.open.push(Arc::downgrade(&line.wait));
    }

    /// See [`super::Pool::give_up`].
    pub(super) fn give_up(&self) {
        let open: Vec<_> = self.lock().open.iter().filter_map(Weak::upgrade).collect();
        open.iter().for_each(|wait| wait.give_up());
    }

    pub(super) fn idle(&self) -> usize {
        self.lock().idle.len()
    }

    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.idle.clear();
    }
}

/// See [`super::Pool::send`].
pub(super) async fn send(
    connections: &Arc<Connections>,
    connector: &Connector,
    mut request: Request<RequestBody>,
    old: bool,
) -> Result<Exchange, SendError> {
    while let Some(line) = connections.take(if old { OLDEST } else { FRESH }) {
        match attempt(connections, line, request, Connection::Old, old).await {
            Err(SendError::Unsent { request: back, .. }) => request = *back,
            done => return done,
        }
    }
    match connector.connect(handshake).await {
        Ok(line) => {
            connections.opened(&line);
            attempt(connections, line, request, Connection::New, old).await
        }
        Err(cause) => Err(SendError::Unsent { request: Box::new(request), cause }),
    }
}

/// One attempt on one connection. `again`: the request may be given up, see [`super::Pool::send`].
async fn attempt(
    connections: &Arc<Connections>,
    mut line: Line,
    request: Request<RequestBody>,
    on: Connection,
    again: bool,
) -> Result<Exchange, SendError> {
    line.expects.response();
    if again {
        line.wait.begin();
    }
    let sent = line.requests.try_send_request(request).await;
    if again && line.wait.end() {
        return Err(SendError::GivenUp);
    }
    let response: Response<Incoming> = match sent {
        Ok(response) => response,
        Err(mut error) => {
            return Err(match error.take_message() {
                Some(request) => {
                    let cause = Refused::Protocol(error.into_error());
                    SendError::Unsent { request: Box::new(request), cause }
                }
                None => SendError::Broken { error: error.into_error(), on },
            });
        }
    };
    let lease = Lease { connections: Arc::clone(connections), line };
    Ok(Exchange { response, lease: Some(lease) })
}

async fn handshake(stream: TcpStream, alive: Alive) -> hyper::Result<Line> {
    let expects = Expects::default();
    let io = TokioIo::new(Outlet::new(stream, expects.clone(), usize::try_from(HEAD).unwrap_or(usize::MAX)));
    let (requests, connection) = http1::Builder::new().max_buf_size(BUFFER).handshake(io).await?;
    // Ends when the sender is dropped or the pod closes the connection; its errors reach the request that it carries.
    let task = tokio::spawn(async move {
        let _alive = alive;
        connection.with_upgrades().await
    });
    let wait = Arc::new(Wait { state: AtomicU8::new(Wait::NOTHING), task: task.abort_handle().into() });
    Ok(Line { requests, expects, wait })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::census::Served;
    use crate::world::eventually;

    /// An unused connection, and the pod's end of it.
    async fn opened() -> (Line, tokio::net::TcpStream) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, accepted) =
            tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), async { listener.accept().await });
        let mut line = handshake(stream.unwrap(), Served::default().enter()).await.unwrap();
        line.requests.ready().await.unwrap();
        (line, accepted.unwrap().0)
    }

    #[tokio::test]
    async fn closed_connections_are_dropped_on_the_way() {
        let connections = Connections::default();
        let mut pods = Vec::new();
        for _ in 0..4 {
            let (line, pod) = opened().await;
            connections.put(line);
            pods.push(pod);
        }
        pods.truncate(2);
        eventually(|| connections.lock().idle.iter().filter(|idle| idle.line.is_closed()).count() == 2).await;
        assert!(connections.take(OLDEST).is_some_and(|line| line.requests.is_ready()));
        assert_eq!(connections.lock().idle.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_connection_is_not_for_every_request() {
        let connections = Connections::default();
        let (old, _pod) = opened().await;
        connections.put(old);
        tokio::time::advance(2 * FRESH).await;
        let (new, _pod) = opened().await;
        connections.put(new);
        assert!(connections.take(FRESH).is_some());
        assert!(connections.take(FRESH).is_none());
        assert!(connections.take(OLDEST).is_some());
        assert!(connections.take(OLDEST).is_none());
    }
}
