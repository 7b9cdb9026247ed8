//! HTTP/1.1 to a pod: one request a connection at a time.
//!
//! hyper's client would do the same in a task of the connection's own: a channel there and one back, a head read twice, since it
//! must be checked first (see [`crate::wire`]), and 16 KiB for each connection before its first request. That was a third of
//! what a small request cost.

mod body;
mod exchange;
mod half;
mod line;
mod upload;
mod wait;

use std::future::{poll_fn, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::BytesMut;
use http::Request;
use tokio::time::Instant;

pub(super) use body::Body;
use exchange::Sending;
use line::Line;
use wait::Wait;

use super::{Connection, Connector, Exchange, FRESH, SendError};
use crate::net::TcpStream;
use crate::path::body::RequestBody;

/// Longest age of an unused connection for a request whose loss can be made good. The sweep closes older ones anyway.
const OLDEST: Duration = Duration::from_secs(60);
/// Longest head of a response, in bytes.
pub(super) const HEAD: usize = 64 * 1024;

/// A connection that went over to another protocol.
#[derive(Debug)]
pub struct Switched {
    /// The connection.
    pub stream: TcpStream,
    /// What has come on it already.
    pub first: BytesMut,
}

/// The connections of one pod.
#[derive(Debug, Default)]
pub(super) struct Connections {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Unused ones, newest last.
    idle: Vec<Idle>,
    /// Every connection that is open, and some that were.
    open: Vec<Weak<Wait>>,
    closed: bool,
}

/// An unused connection.
#[derive(Debug)]
struct Idle {
    line: Line,
    since: Instant,
}

impl Idle {
    /// Whether it has not been used for longer than `most`.
    fn is_older(&self, now: Instant, most: Duration) -> bool {
        now.saturating_duration_since(self.since) > most
    }
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
        while let Some(mut idle) = state.idle.pop() {
            if idle.line.is_closed() {
                continue;
            }
            if idle.is_older(now, most) {
                state.idle.push(idle);
                return None;
            }
            return Some(idle.line);
        }
        None
    }

    fn put(&self, line: Line) {
        let mut state = self.lock();
        if !state.closed {
            state.idle.push(Idle { line, since: Instant::now() });
        }
    }

    pub(super) fn sweep(&self, most: Duration) {
        let now = Instant::now();
        self.lock().idle.retain_mut(|idle| !idle.is_older(now, most) && !idle.line.is_closed());
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
    mut request: Box<Request<RequestBody>>,
    old: bool,
) -> Result<Exchange, SendError> {
    loop {
        let (line, on) = match connections.take(if old { OLDEST } else { FRESH }) {
            Some(line) => (line, Connection::Old),
            // On the heap: most requests find a connection.
            None => match Box::pin(connector.connect(|stream, alive| ready(Ok(Line::new(stream, alive))))).await {
                Ok(line) => {
                    connections.opened(&line);
                    (line, Connection::New)
                }
                Err(cause) => return Err(SendError::Unsent { request, cause }),
            },
        };
        let mut sending = Sending::new(line, *request, old);
        let begun = poll_fn(|cx| sending.poll(cx)).await;
        match sending.end(begun, connections, on) {
            Err(SendError::Unsent { request: back, .. }) if on == Connection::Old => request = back,
            done => return done,
        }
    }
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
        (Line::new(stream.unwrap(), Served::default().enter()), accepted.unwrap().0)
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
        let closed =
            || connections.lock().idle.iter_mut().filter_map(|idle| idle.line.is_closed().then_some(())).count();
        eventually(|| closed() == 2).await;
        assert!(connections.take(OLDEST).is_some_and(|mut line| !line.is_closed()));
        assert_eq!(connections.lock().idle.len(), 1);
    }

    /// More than a task may do at once.
    const MANY: usize = 200;

    #[tokio::test]
    async fn however_many_were_closed_none_is_taken_for_open() {
        for sweeps in [true, false] {
            let connections = Connections::default();
            let mut pods = Vec::new();
            for _ in 0..MANY {
                let (line, pod) = opened().await;
                connections.put(line);
                pods.push(pod);
            }
            connections.sweep(OLDEST);
            assert_eq!(connections.idle(), MANY);
            drop(pods);
            // The ends come without anything being waited for, but for the runtime to look.
            eventually(|| connections.lock().idle.iter_mut().all(|idle| idle.line.is_closed())).await;
            if sweeps {
                connections.sweep(OLDEST);
            } else {
                assert!(connections.take(OLDEST).is_none());
            }
            assert_eq!(connections.idle(), 0);
        }
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
