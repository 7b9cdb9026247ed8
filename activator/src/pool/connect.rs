//! Opening a connection to a pod.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use thiserror::Error;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::census::{Alive, Served};
use super::turns::Turns;
use crate::net::TcpStream;

/// A SYN that is lost is sent again by the kernel after a second; another attempt beside it costs a packet. Within a
/// cluster an answer takes well under a millisecond.
const OVERLAP: Duration = Duration::from_millis(100);
/// After this an attempt is given up: the later ones beside it are as good.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What Linux says when there are no files left, in the system or in this process, and no memory for sockets.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOBUFS: i32 = 105;

/// No connection.
#[derive(Debug, Error)]
pub enum Refused {
    /// The operating system said so.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing came back.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The protocol's handshake failed, or the connection closed before the request.
    #[error("{0}")]
    Protocol(#[from] hyper::Error),
    /// The pod said that it had not looked at the request.
    #[error("the pod turned the request away: {0}")]
    TurnedAway(hyper::Error),
    /// The HTTP/2 connection another request was opening did not come about.
    #[error("{0}")]
    Shared(Arc<Refused>),
    /// The pool was closed: its pod takes nothing new, or has lost the address. Says nothing about what is there.
    #[error("the pod has left its address")]
    Closed,
}

impl Refused {
    /// Whether it says that the pod is gone. `answered`: it has begun a response to another request meanwhile, so it is there,
    /// and has more to do than it accepts.
    pub fn is_reason_to_doubt(&self, answered: bool) -> bool {
        match self {
            // It may be ready at another address. The index knows that already.
            Self::Closed | Self::TurnedAway(_) => false,
            Self::Timeout(_) => !answered,
            Self::Io(error) => !is_own(error),
            Self::Shared(cause) => cause.is_reason_to_doubt(answered),
            Self::Protocol(_) => true,
        }
    }
}

/// Whether it never came as far as the network: this process or this host has run out of something.
fn is_own(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(ENFILE | EMFILE | ENOBUFS))
}

/// The only way to a connection of a pool, until the pool is closed. From then on the address may be another pod's.
#[derive(Clone, Debug)]
pub(super) struct Connector {
    address: SocketAddr,
    closed: CancellationToken,
    served: Served,
    turns: Arc<Turns>,
}

impl Connector {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, closed: CancellationToken::new(), served: Served::default(), turns: Arc::new(Turns::new()) }
    }

    /// Connects in its turn and shakes hands; whatever serves the connection keeps the second argument. Ends at once when the
    /// pool is closed, and never gives a connection of a closed one. Goes on for as long as connections to the pod come
    /// about, see [`Turns::take`].
    ///
    /// # Errors
    /// [`Refused`], but not [`Refused::Shared`].
    pub(super) async fn connect<S, F>(&self, handshake: impl FnOnce(TcpStream, Alive) -> F) -> Result<S, Refused>
    where
        F: Future<Output = hyper::Result<S>>,
    {
        let connected = async {
            let stream = self.turns.take(open(self.address)).await?;
            Ok(handshake(stream, self.served.enter()).await?)
        };
        let connected = self.closed.run_until_cancelled(connected).await;
        self.check()?;
        connected.unwrap_or(Err(Refused::Closed))
    }

    /// Asked before a request goes out on a connection that was there already, or that others wait for too.
    ///
    /// # Errors
    /// [`Refused::Closed`].
    pub(super) fn check(&self) -> Result<(), Refused> {
        if self.closed.is_cancelled() { Err(Refused::Closed) } else { Ok(()) }
    }

    /// Connections that are served now.
    pub(super) fn open(&self) -> usize {
        self.served.now()
    }

    pub(super) fn close(&self) {
        self.closed.cancel();
    }
}

/// Connects, with a further attempt every 100 ms beside the earlier ones, without end as long as nothing comes back. Gives up
/// when every attempt so far has been refused.
///
/// # Errors
/// [`Refused::Io`].
async fn open(address: SocketAddr) -> Result<TcpStream, Refused> {
    let attempt = || async { timeout(ATTEMPT, TcpStream::connect(address)).await? };
    let stream = overlapping(attempt).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn overlapping<F, T>(attempt: impl Fn() -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut attempts = FuturesUnordered::new();
    attempts.push(attempt());
    let mut next = Instant::now() + OVERLAP;
    loop {
        tokio::select! {
            Some(done) = attempts.next() => match done {
                Err(error) if attempts.is_empty() => return Err(error),
                Err(_) => {}
                opened => return opened,
            },
            () = sleep_until(next) => {
                attempts.push(attempt());
                next += OVERLAP;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_lost_packet_costs_a_tenth_of_a_second() {
        let attempts = Cell::new(0);
        let began = Instant::now();
        let won = overlapping(|| {
            attempts.set(attempts.get() + 1);
            let mine = attempts.get();
            async move {
                // The first one's packet is lost.
                let after = if mine == 1 { 1000 } else { 1 };
                tokio::time::sleep(Duration::from_millis(after)).await;
                Ok(mine)
            }
        });
        assert_eq!(won.await.unwrap(), 2);
        assert_eq!(began.elapsed().as_millis(), 101);
    }

    #[test]
    fn only_what_the_pod_has_a_part_in_casts_doubt_on_it() {
        let io = |code| Refused::Io(io::Error::from_raw_os_error(code));
        let timeout = || Refused::Timeout(ATTEMPT);
        for (cause, answered, doubt) in [
            // ECONNREFUSED, EHOSTUNREACH, ECONNRESET.
            (io(111), false, true),
            (io(111), true, true),
            (io(113), true, true),
            (io(104), true, true),
            // EADDRNOTAVAIL, ENOMEM.
            (io(99), false, false),
            (io(12), false, false),
            (io(EMFILE), false, false),
            (io(ENFILE), false, false),
            (io(ENOBUFS), false, false),
            (timeout(), false, true),
            (timeout(), true, false),
            (Refused::Shared(Arc::new(timeout())), false, true),
            (Refused::Shared(Arc::new(timeout())), true, false),
            (Refused::Shared(Arc::new(io(EMFILE))), false, false),
            (Refused::Closed, false, false),
        ] {
            assert_eq!(cause.is_reason_to_doubt(answered), doubt, "{cause:?}, answered: {answered}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_an_answer() {
        let began = Instant::now();
        let refused = overlapping(|| async { io::Result::<()>::Err(io::ErrorKind::ConnectionRefused.into()) }).await;
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}
