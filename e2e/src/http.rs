//! A plain HTTP client for tests and benches: it says when the first byte came and hides nothing.

mod connection;
pub mod streaming;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, header::HOST};
use http_body_util::Full;
use serde_json::Value;
use tokio::{task::JoinSet, time::timeout};

pub use connection::Connection;

/// The entry of `Server-Timing` that is the sum of the others.
pub const TOTAL: &str = "total";
/// The last of the others: from the release to a pod to the head of its response.
pub const FIRST_BYTE: &str = "first-byte";
/// How often a bare pod is asked; as often as the activator asks a function's pod.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How long one such attempt may take: one lost packet must not cost a second.
const ASK_FOR: Duration = Duration::from_millis(250);

/// An answer, with its body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// When the head came.
    pub first_byte: Instant,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text; bytes that are no text are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Rouse's own answer: a problem document (RFC 9457) with this status.
    ///
    /// # Errors
    /// When it is anything else; says what.
    pub fn problem(&self, status: u16) -> Result<Value> {
        let kind = self.header("content-type").unwrap_or_default();
        let fits = self.status == status && kind == "application/problem+json";
        ensure!(fits, "not a problem document with {status} but {} {kind}: {}", self.status, self.text());
        Ok(serde_json::from_slice(&self.body)?)
    }
}

/// Sends one GET over a connection of its own.
///
/// # Errors
/// When there is no whole answer within `patience`.
pub async fn get(address: SocketAddr, host: &str, path: &str, patience: Duration) -> Result<Answer> {
    let request = Request::get(path).header(HOST, host).body(Full::default())?;
    send(address, request, patience).await
}

/// Sends one POST over a connection of its own.
///
/// # Errors
/// As [`get`].
pub async fn post(address: SocketAddr, host: &str, path: &str, body: Bytes, patience: Duration) -> Result<Answer> {
    let request = Request::builder().method(Method::POST).uri(path).header(HOST, host).body(Full::new(body))?;
    send(address, request, patience).await
}

/// Sends one request over a connection of its own. The request has its Host header already.
///
/// # Errors
/// As [`get`].
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>, patience: Duration) -> Result<Answer> {
    timeout(patience, async { Connection::open(address).await?.send(request).await })
        .await
        .with_context(|| format!("no answer from {address} within {patience:?}"))?
}

/// Asks a pod again and again, each attempt with a short time of its own and overlapping the next, until one is
/// answered.
///
/// # Errors
/// When nothing answers within `patience`.
pub async fn first_byte(address: SocketAddr, path: &str, patience: Duration) -> Result<Answer> {
    let mut attempts = JoinSet::new();
    let mut tick = tokio::time::interval(ASK_EVERY);
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        tokio::select! {
            _ = tick.tick() => {
                let path = path.to_owned();
                attempts.spawn(async move { get(address, &address.to_string(), &path, ASK_FOR).await });
            }
            Some(Ok(Ok(answer))) = attempts.join_next() => return Ok(answer),
        }
    }
    bail!("nothing answers at {address} within {patience:?}")
}

/// The entries of a `Server-Timing` header (W3C Server Timing), in order: name and duration in milliseconds.
pub fn server_timing(header: &str) -> Vec<(String, f64)> {
    header
        .split(',')
        .filter_map(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            let name = parts.next()?.to_owned();
            let duration = parts.find_map(|p| p.strip_prefix("dur="))?.parse().ok()?;
            Some((name, duration))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_timing_is_read_in_order() {
        let read = server_timing("patch;dur=3.5, start;desc=\"pod\";dur=200, cache;desc=none");
        assert_eq!(read, [("patch".to_owned(), 3.5), ("start".to_owned(), 200.0)]);
    }
}
