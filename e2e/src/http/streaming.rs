//! Connections for what [`super::Connection`] does not do: bodies that are sent piece by piece, upgrades, HTTP/2.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Full, channel::Channel};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

/// A body that is there, or one that is sent piece by piece.
pub type Body = http_body_util::combinators::BoxBody<Bytes, std::io::Error>;

/// A body that is there.
pub fn whole(content: impl Into<Bytes>) -> Body {
    Full::new(content.into()).map_err(|never| match never {}).boxed()
}

/// A body without a declared length, and the end by which it is filled. At most four pieces wait in between.
pub fn piecewise() -> (http_body_util::channel::Sender<Bytes, std::io::Error>, Body) {
    let (sender, body) = Channel::new(4);
    (sender, body.boxed())
}

/// A TCP connection that sends at once.
///
/// # Errors
/// When nobody accepts it within five seconds.
pub async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let connecting = timeout(Duration::from_secs(5), TcpStream::connect(address));
    let stream = connecting.await.map_err(anyhow::Error::from).and_then(|done| Ok(done?));
    let stream = stream.with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// HTTP/1.1. The connection lives as long as the sender or an upgrade of it.
///
/// # Errors
/// As [`connect`].
pub async fn http1(address: SocketAddr) -> Result<http1::SendRequest<Body>> {
    let (sender, connection) = http1::handshake(TokioIo::new(connect(address).await?)).await?;
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

/// HTTP/2 with prior knowledge. The connection lives as long as the sender and its clones.
///
/// # Errors
/// As [`connect`].
pub async fn http2(address: SocketAddr) -> Result<http2::SendRequest<Body>> {
    let io = TokioIo::new(connect(address).await?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// An answer that has begun and goes on for seconds: its request is in flight at a pod, however long it took to come there.
#[derive(Debug)]
pub struct Begun {
    body: Incoming,
    events: usize,
}

impl Begun {
    /// Asks the test application for so many events, one each second, and waits for the head of its answer.
    ///
    /// # Errors
    /// When there is no answer with 200 within `patience`.
    pub async fn events(address: SocketAddr, host: &str, events: usize, patience: Duration) -> Result<Self> {
        let request = Request::get(format!("/sse?n={events}&ms=1000")).header(HOST, host).body(whole(""))?;
        let mut sender = http1(address).await?;
        let answer = timeout(patience, sender.send_request(request)).await.context("no answer")??;
        ensure!(answer.status() == 200, "answered {}", answer.status());
        Ok(Self { body: answer.into_body(), events })
    }

    /// Reads it to its end: all events must come.
    ///
    /// # Errors
    /// When it breaks off, or does not end within `patience`.
    pub async fn end(self, patience: Duration) -> Result<()> {
        let body = timeout(patience, self.body.collect()).await.context("the answer does not end")?;
        let body = body.context("the answer broke off")?.to_bytes();
        let came = String::from_utf8_lossy(&body).matches("data: event ").count();
        ensure!(came == self.events, "{came} of {} events came", self.events);
        Ok(())
    }
}
