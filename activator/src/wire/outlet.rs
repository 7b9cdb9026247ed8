//! A connection to a pod, of which hyper sees no head that is not in order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::backlog::Backlog;
use super::gather;
use super::responses::Responses;
use crate::net::TcpStream;

/// Most that is read at once of a response whose caller has let it wait before, in bytes. hyper would read the more at once
/// the quicker the response came so far.
const SIP: usize = 16 * 1024;

/// Says what is wanted of a connection to a pod.
#[derive(Clone, Debug, Default)]
pub struct Expects(Arc<Wanted>);

#[derive(Debug, Default)]
struct Wanted {
    /// A request goes out: a head comes next.
    response: AtomicBool,
    /// Nothing, for now.
    paused: AtomicBool,
    /// It was so before, in this response.
    slow: AtomicBool,
    reader: AtomicWaker,
}

impl Expects {
    /// To be called before the request is handed to hyper.
    pub fn response(&self) {
        self.0.response.store(true, Ordering::Release);
    }

    /// Leaves what comes where it is: hyper reads ahead of whoever takes the response's body.
    pub fn pause(&self) {
        self.0.slow.store(true, Ordering::Release);
        self.0.paused.store(true, Ordering::Release);
    }

    /// Takes what comes, from a pause on.
    pub fn proceed(&self) {
        if self.0.paused.swap(false, Ordering::AcqRel) {
            self.0.reader.wake();
        }
    }

    /// The response is over, and with it what was said of its pace.
    pub fn over(&self) {
        self.0.slow.store(false, Ordering::Release);
        self.proceed();
    }

    fn poll_wanted(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.0.paused.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        self.0.reader.register(cx.waker());
        // It may have gone on meanwhile.
        if self.0.paused.load(Ordering::Acquire) { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Reads from a pod.
    fn read(&self, stream: Pin<&mut TcpStream>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.0.slow.load(Ordering::Acquire) || buf.remaining() <= SIP {
            return stream.poll_read(cx, buf);
        }
        let mut sip = ReadBuf::new(buf.initialize_unfilled_to(SIP));
        ready!(stream.poll_read(cx, &mut sip))?;
        let read = sip.filled().len();
        buf.advance(read);
        Poll::Ready(Ok(()))
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
            ready!(this.expects.poll_wanted(cx));
            let before = buf.filled().len();
            ready!(this.expects.read(Pin::new(&mut this.stream), cx, buf))?;
            if this.expects.0.response.swap(false, Ordering::Acquire) {
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn read(outlet: &mut Outlet, most: usize) -> usize {
        let mut buf = vec![0; most];
        timeout(Duration::from_secs(30), outlet.read(&mut buf)).await.expect("nothing comes").unwrap()
    }

    #[tokio::test]
    async fn in_a_pause_nothing_is_read_and_from_then_on_little_at_a_time() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (stream, pod) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        let (expects, mut pod) = (Expects::default(), pod.unwrap().0);
        let mut outlet = Outlet::new(stream.unwrap(), expects.clone(), 1000);
        expects.response();
        pod.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n").await.unwrap();
        assert!(read(&mut outlet, 1000).await > 0);
        let writing = tokio::spawn(async move { pod.write_all(&[b'x'; 1 << 20]).await });
        assert_eq!(read(&mut outlet, 1).await, 1, "it comes");
        expects.pause();
        let mut buf = [0; 10];
        let mut paused = std::pin::pin!(outlet.read(&mut buf));
        assert!(futures::poll!(paused.as_mut()).is_pending());
        let waits = async { timeout(Duration::from_secs(30), paused).await.expect("nobody woke it").unwrap() };
        let goes = async {
            tokio::task::yield_now().await;
            expects.proceed();
        };
        assert_eq!(tokio::join!(waits, goes).0, 10);
        // There is more than that, and room for it.
        let mut left = (1 << 20) - 11;
        while left > 1 << 18 {
            let sip = read(&mut outlet, 1 << 20).await;
            assert!(sip <= SIP, "{sip}");
            left -= sip;
        }
        writing.await.unwrap().unwrap();
        expects.over();
        let mut most = 0;
        while left > 0 {
            let read = read(&mut outlet, 1 << 20).await;
            (most, left) = (most.max(read), left - read);
        }
        assert!(most > SIP, "the next response may come as quickly as it likes");
    }
}
