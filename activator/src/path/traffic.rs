//! Whether bytes still pass between the two ends of an upgraded connection.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

/// When bytes passed last, either way.
#[derive(Debug)]
pub(super) struct Traffic {
    began: Instant,
    /// In milliseconds after that.
    last: AtomicU64,
}

impl Traffic {
    /// As if some had passed just now.
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), last: AtomicU64::new(0) }
    }

    /// One end, whose bytes count.
    pub(super) fn noted<T>(&self, io: T) -> Noted<'_, T> {
        Noted { io, traffic: self }
    }

    fn pass(&self) {
        let now = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(now, Ordering::Relaxed);
    }

    /// Resolves when nothing has passed for this long.
    pub(super) async fn silent(&self, most: Duration) {
        loop {
            let last = self.began + Duration::from_millis(self.last.load(Ordering::Relaxed));
            let Some(until) = last.checked_add(most) else { return std::future::pending().await };
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

/// One end of a connection. What comes from it counts; what goes to it has come from the other.
#[derive(Debug)]
pub(super) struct Noted<'a, T> {
    io: T,
    traffic: &'a Traffic,
}

impl<T: AsyncRead + Unpin> AsyncRead for Noted<'_, T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.traffic.pass();
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Noted<'_, T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{sleep, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_is_when_nothing_comes_from_either_end() {
        let traffic = Traffic::new();
        let began = Instant::now();
        let (mut far, near) = tokio::io::duplex(100);
        let mut near = traffic.noted(near);
        let talk = async {
            for _ in 0..3 {
                sleep(4 * SECOND).await;
                far.write_all(b"x").await.unwrap();
                near.read_u8().await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        tokio::select! { () = talk => {}, () = traffic.silent(5 * SECOND) => {} }
        assert_eq!(began.elapsed(), 17 * SECOND);
        assert!(timeout(10_000 * SECOND, Traffic::new().silent(Duration::MAX)).await.is_err());
    }
}
