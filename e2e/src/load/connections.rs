//! The client's connections: kept, opened anew when they are closed, and no request failed for that.

use std::{
    error::Error,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, header::HOST};
use http_body_util::BodyExt;
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};

use super::{Protocol, Shape};
use crate::http::streaming::{self, Body};

/// HTTP/2 connections at least; each takes as many streams at once as the activator lets it.
const HTTP2_CONNECTIONS: usize = 4;
/// Streams at once in each where more of them are needed: the activator lets it have 100.
const STREAMS: usize = 90;
/// How often a request looks for another connection because the one it had was closed before it was sent.
const ATTEMPTS: usize = 4;
/// From one attempt to connect to the next, where a refusal is not the end.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How often that is tried: for longer than Kubernetes needs to see that a process has died, and its proxies to follow.
const CONNECTS: usize = 50;

/// Open connections to one address.
#[derive(Debug)]
pub(super) struct Connections {
    entry: SocketAddr,
    /// Connections that one request tries.
    attempts: usize,
    idle: Mutex<Vec<http1::SendRequest<Body>>>,
    shared: Mutex<Vec<Option<http2::SendRequest<Body>>>>,
    /// The HTTP/2 connections take turns.
    turn: AtomicUsize,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) head: Instant,
    pub(super) body: Bytes,
}

impl Connections {
    /// `patient`: who refuses a connection is asked again, as some other one may be there soon. Nothing was sent by then.
    pub(super) fn new(entry: SocketAddr, patient: bool) -> Self {
        let attempts = if patient { ATTEMPTS + CONNECTS } else { ATTEMPTS };
        let shared = Mutex::new((0..HTTP2_CONNECTIONS).map(|_| None).collect());
        Self { entry, attempts, idle: Mutex::default(), shared, turn: AtomicUsize::new(0) }
    }

    /// Opens as many as that many requests at once need, so that a step in load is not one in handshakes.
    pub(super) async fn prepare(&self, protocol: Protocol, at_once: usize) -> Result<()> {
        match protocol {
            Protocol::Http1 => {
                for _ in 0..at_once {
                    let mut sender = self.connect(streaming::http1).await?;
                    sender.ready().await?;
                    lock(&self.idle).push(sender);
                }
            }
            Protocol::Http2 => {
                let connections = at_once.div_ceil(STREAMS).max(HTTP2_CONNECTIONS);
                lock(&self.shared).resize(connections, None);
                for place in 0..connections {
                    self.stream(place).await?;
                }
            }
        }
        Ok(())
    }

    /// Opens all connections anew from now on: one of them broke, and what was at its other end had more of them.
    pub(super) fn renew(&self) {
        lock(&self.idle).clear();
        lock(&self.shared).iter_mut().for_each(|sender| *sender = None);
    }

    /// Sends a request and reads the whole answer.
    pub(super) async fn exchange(
        &self,
        protocol: Protocol,
        host: &str,
        shape: &Shape,
        id: &str,
    ) -> Result<Whole, Broken> {
        let mut unsent = request(protocol, host, shape, id)?;
        for attempt in 0..self.attempts {
            if attempt >= ATTEMPTS {
                tokio::time::sleep(CONNECT_PAUSE).await;
            }
            let sent = match protocol {
                // Those that are kept may all have been closed at one moment.
                Protocol::Http1 => self.over_http1(unsent, attempt > 0).await,
                Protocol::Http2 => self.over_http2(unsent, attempt > 0).await,
            };
            match sent {
                Ok(whole) => return Ok(whole),
                Err(Failed::Unsent(back)) => unsent = *back,
                Err(Failed::Above) => unsent = request(protocol, host, shape, id)?,
                Err(Failed::Broken(broken)) => return Err(broken),
            }
        }
        Err(anyhow!("{} connections were closed before the request could be sent", self.attempts).into())
    }

    async fn connect<S>(&self, open: impl AsyncFn(SocketAddr) -> Result<S>) -> Result<S> {
        for _ in ATTEMPTS..self.attempts {
            if let Ok(sender) = open(self.entry).await {
                return Ok(sender);
            }
            tokio::time::sleep(CONNECT_PAUSE).await;
        }
        open(self.entry).await
    }

    /// `fresh`: over a new connection, whatever there is.
    async fn over_http1(&self, request: Request<Body>, fresh: bool) -> Result<Whole, Failed> {
        let kept = if fresh { None } else { self.usable().await };
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.connect(streaming::http1).await?,
        };
        let response = sender.try_send_request(request).await.map_err(Failed::from)?;
        let whole = read(response).await.map_err(Broken::begun)?;
        if !sender.is_closed() {
            lock(&self.idle).push(sender);
        }
        Ok(whole)
    }

    /// The connection that was used last. Those that the other side has closed, for being unused, are dropped on the way.
    async fn usable(&self) -> Option<http1::SendRequest<Body>> {
        loop {
            let mut sender = lock(&self.idle).pop()?;
            if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    /// `fresh`: as above.
    async fn over_http2(&self, request: Request<Body>, fresh: bool) -> Result<Whole, Failed> {
        let place = self.turn.fetch_add(1, Ordering::Relaxed) % lock(&self.shared).len();
        if fresh {
            lock(&self.shared)[place] = None;
        }
        let mut sender = self.stream(place).await?;
        let response = match sender.try_send_request(request).await {
            Ok(response) => response,
            Err(error) => {
                lock(&self.shared)[place] = None;
                return Err(error.into());
            }
        };
        Ok(read(response).await.map_err(Broken::begun)?)
    }

    /// A connection for one more stream. Two that find none at once open two, of which one is kept.
    async fn stream(&self, place: usize) -> Result<http2::SendRequest<Body>> {
        let open = lock(&self.shared)[place].clone();
        if let Some(sender) = open.filter(|sender| !sender.is_closed()) {
            return Ok(sender);
        }
        let sender = self.connect(streaming::http2).await?;
        lock(&self.shared)[place] = Some(sender.clone());
        Ok(sender)
    }
}

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) why: anyhow::Error,
    /// Whether there was the head of one.
    pub(super) begun: bool,
}

impl Broken {
    fn begun(why: anyhow::Error) -> Self {
        Self { why, begun: true }
    }
}

impl From<anyhow::Error> for Broken {
    fn from(why: anyhow::Error) -> Self {
        Self { why, begun: false }
    }
}

enum Failed {
    /// Not a byte was sent: another connection may take it.
    Unsent(Box<Request<Body>>),
    /// The server has said that it takes no further stream, and has not looked at this one (RFC 9113, section 6.8): another
    /// connection may take it. The library keeps the request, whether it was sent or not.
    Above,
    Broken(Broken),
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken)
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error.into())
    }
}

impl From<hyper::client::conn::TrySendError<Request<Body>>> for Failed {
    fn from(mut error: hyper::client::conn::TrySendError<Request<Body>>) -> Self {
        match error.take_message() {
            Some(request) => Self::Unsent(Box::new(request)),
            None => {
                let error = error.into_error();
                if is_above(&error) { Self::Above } else { anyhow::Error::from(error).into() }
            }
        }
    }
}

fn is_above(error: &hyper::Error) -> bool {
    let h2 = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    h2.is_some_and(|h2| h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR))
}

fn request(protocol: Protocol, host: &str, shape: &Shape, id: &str) -> Result<Request<Body>> {
    let request = match protocol {
        Protocol::Http1 => Request::builder().uri(&shape.path).header(HOST, host),
        Protocol::Http2 => Request::builder().uri(format!("http://{host}{}", shape.path)),
    };
    Ok(request.method(&shape.method).header("x-id", id).body(streaming::whole(vec![b'x'; shape.body]))?)
}

async fn read(response: Response<Incoming>) -> Result<Whole> {
    let head = Instant::now();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.context("the body broke off")?.to_bytes();
    Ok(Whole { status: parts.status.as_u16(), headers: parts.headers, head, body })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
