//! A connection that is closed unless its peer proves who it is, and that gives its place back.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

use super::places::Place;
use crate::link::limits;

/// What the service knows of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it comes from.
    pub address: SocketAddr,
    proved: Arc<AtomicBool>,
}

impl Peer {
    /// It has shown a valid token: the connection may stay.
    pub fn prove(&self) {
        self.proved.store(true, Ordering::Release);
    }
}

/// An accepted stream with its place.
pub(in crate::link) struct Connection<S> {
    stream: S,
    peer: Peer,
    /// Runs until the peer has proved who it is.
    trial: Option<Pin<Box<Sleep>>>,
    _place: Option<Place>,
}

impl<S> Connection<S> {
    pub(in crate::link) fn new(stream: S, address: SocketAddr, place: Option<Place>) -> Self {
        let peer = Peer { address, proved: Arc::default() };
        Self { stream, peer, trial: Some(Box::pin(sleep(limits::TRIAL))), _place: place }
    }

    /// An error once the peer has had its time.
    fn try_peer(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(trial) = &mut self.trial else { return Ok(()) };
        if self.peer.proved.load(Ordering::Acquire) {
            self.trial = None;
            return Ok(());
        }
        match trial.as_mut().poll(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(()) => Err(io::Error::new(io::ErrorKind::TimedOut, "the peer has not proved who it is")),
        }
    }
}

impl<S> Connected for Connection<S> {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.try_peer(cx)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
