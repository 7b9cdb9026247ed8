//! A caller's connection, which can be asked from outside whether the caller is still there.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// How often a held request with an unread body looks whether its caller is there.
const LOOK: Duration = Duration::from_millis(250);

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    stream: Arc<Mutex<TcpStream>>,
}

impl Peer {
    /// Resolves when the caller has closed its side, within a quarter of a second.
    ///
    /// A hyper HTTP/1 server does not read while the body of a request waits unread in the socket, and so does not notice
    /// the end behind it; the kernel does (EPOLLRDHUP).
    pub async fn left(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let ready = lock(&self.stream).ready(Interest::READABLE).now_or_never();
            if matches!(ready, Some(Ok(ready)) if ready.is_read_closed()) || matches!(ready, Some(Err(_))) {
                return;
            }
        }
    }
}

/// The stream, for hyper.
#[derive(Debug)]
pub(super) struct Io {
    stream: Arc<Mutex<TcpStream>>,
    vectored: bool,
}

/// Splits a connection into what hyper serves and what the request path may ask.
pub(super) fn split(stream: TcpStream, address: SocketAddr) -> (Io, Arc<Peer>) {
    let vectored = stream.is_write_vectored();
    let stream = Arc::new(Mutex::new(stream));
    (Io { stream: Arc::clone(&stream), vectored }, Arc::new(Peer { address, stream }))
}

/// Held for one system call, and contended only by [`Peer::left`].
fn lock(stream: &Mutex<TcpStream>) -> MutexGuard<'_, TcpStream> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_read(cx, buf)
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.stream)).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *lock(&self.stream)).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *lock(&self.stream)).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }
}
