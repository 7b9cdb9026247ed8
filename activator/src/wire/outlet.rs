//! A connection to a pod, of which hyper sees no head that is not in order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::backlog::Backlog;
use super::gather;
use super::responses::Responses;
use crate::net::TcpStream;

/// Says that a request goes out on a connection, and so that a head comes next.
#[derive(Clone, Debug, Default)]
pub struct Expects(Arc<AtomicBool>);

impl Expects {
    /// To be called before the request is handed to hyper.
    pub fn response(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A stream to a pod. Reading from it fails with [`io::ErrorKind::InvalidData`] where the pod's response is not in order.
#[derive(Debug)]
pub struct Outlet {
    stream: TcpStream,
    expects: Expects,
    responses: Responses,
    backlog: Backlog,
}

impl Outlet {
    /// Over a new connection. `max_head`: of a response, in bytes.
    pub fn new(stream: TcpStream, expects: Expects, max_head: usize) -> Self {
        Self { stream, expects, responses: Responses::new(max_head), backlog: Backlog::default() }
    }
}

impl AsyncRead for Outlet {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.backlog.hand_over(buf) {
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
            if this.expects.0.swap(false, Ordering::Acquire) {
                this.responses.expect();
            }
            if buf.filled().len() == before || !this.responses.in_head() {
                return Poll::Ready(Ok(()));
            }
            let mut wrong = None;
            this.backlog.came(buf, before, |bytes| {
                this.responses.inspect(bytes).unwrap_or_else(|why| {
                    wrong = Some(why);
                    0
                })
            });
            if let Some(why) = wrong {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Outlet {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        gather::write(Pin::new(&mut self.stream), cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
