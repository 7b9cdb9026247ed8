//! One HTTP/1.1 connection that is kept for several requests, or opened before its one request is due.

use std::{net::SocketAddr, time::Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle};

use super::Answer;

/// An open connection. Closed at once when dropped, whatever is under way.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    /// Connects. There is no deadline of its own.
    ///
    /// # Errors
    /// When nothing listens at `address`.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: tokio::spawn(connection) })
    }

    /// Sends a request and reads the whole answer. The request has its Host header already. There is no deadline of its
    /// own.
    ///
    /// # Errors
    /// When the connection ends before the answer does.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        self.sender.ready().await.context("the connection is closed")?;
        let response = self.sender.send_request(request).await?;
        let first_byte = Instant::now();
        let (head, body) = response.into_parts();
        let body = body.collect().await.context("the body broke off")?.to_bytes();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, first_byte, body })
    }

    /// Sends a GET.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub async fn get(&mut self, host: &str, path: &str) -> Result<Answer> {
        self.send(Request::get(path).header(HOST, host).body(Full::default())?).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
