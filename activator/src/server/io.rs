//! A caller's connection, which can be asked from outside whether the caller is still there.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::admission::Admission;
use crate::metrics::Metrics;
use crate::path::fault::Fault;
use crate::path::headers::By;
use crate::path::room::Room;
use crate::path::untaken::Untaken;
use crate::wire::{Flood, Frames, Inlet, gather};

/// Of a caller that has sent more than is read ahead, it is looked this often whether it has gone. A look is a timer and no
/// system call.
const LOOK: Duration = Duration::from_secs(1);
/// The most that is read ahead at once, in bytes.
const PIECE: usize = 8 * 1024;
/// For so long a caller that was answered before it had said all is listened to, and so many bytes of it are thrown away: a
/// connection that is closed with bytes unread is reset, and the answer may be lost with it.
const FAREWELL: Duration = Duration::from_secs(1);
/// See [`FAREWELL`].
const FAREWELL_BYTES: usize = 256 * 1024;
/// ENHANCE_YOUR_CALM (RFC 9113, section 7).
const CALM: u8 = 0x0b;

/// What looks at the bytes of a caller before hyper does.
#[derive(Debug)]
pub(super) enum Scan {
    /// HTTP/1.
    Heads(Inlet),
    /// HTTP/2.
    Frames(Frames),
}

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The same as the function is told.
    pub by: By,
    /// It speaks HTTP/2.
    pub http2: bool,
    /// What it has not taken of its answers, over HTTP/2.
    pub untaken: Option<Arc<Untaken>>,
    socket: Arc<Mutex<Socket>>,
    /// For what is read ahead, all connections together.
    ahead: Arc<Room>,
}

/// See [`Peer::progress`].
pub(super) struct Progress {
    /// Since when it takes nothing of what it is sent.
    pub(super) stalled: Option<Instant>,
    /// When it last went on taking.
    pub(super) taken: Option<Instant>,
    /// When the first part of a head came whose rest has not come.
    pub(super) head: Option<Instant>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// Since when there is something to write and the caller takes none of it.
    stalled: Option<Instant>,
    /// When that was over, the last time.
    taken: Option<Instant>,
    end_is_whole: bool,
    scan: Option<Scan>,
    refused: bool,
    /// hyper has read to the end of what the caller sends.
    ended: bool,
    /// The head whose rest has not come, and when its first part came.
    head: Option<(u64, Instant)>,
    flood: Option<Flood>,
    /// Waits for a decision.
    reader: Option<Waker>,
    /// The last write took only a part of what hyper had for it.
    in_frame: bool,
    /// Behind the stream, so that what is given back is free: hyper, the path, or a tunnel may have it last.
    admission: Admission,
}

impl Socket {
    fn inlet(&mut self) -> Option<&mut Inlet> {
        match &mut self.scan {
            Some(Scan::Heads(inlet)) => Some(inlet),
            _ => None,
        }
    }

    /// `given`: how many bytes there were to write.
    fn written(&mut self, written: Poll<io::Result<usize>>, given: usize) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => {
                self.stalled.get_or_insert_with(Instant::now);
            }
            Poll::Ready(written) => {
                if self.stalled.take().is_some() {
                    self.taken = Some(Instant::now());
                }
                if let (Some(Scan::Frames(frames)), Ok(written)) = (&mut self.scan, written) {
                    frames.sent(*written);
                    self.in_frame = *written < given;
                }
            }
        }
        written
    }
}

impl Peer {
    /// How far the caller is with what it takes and says.
    pub(super) fn progress(&self) -> Progress {
        let socket = lock(&self.socket);
        Progress { stalled: socket.stalled, taken: socket.taken, head: socket.head.map(|(_, since)| since) }
    }

    /// It knows the end of a response by the connection's: it speaks HTTP/1.0.
    pub(super) fn reads_to_the_end(&self) {
        lock(&self.socket).end_is_whole = true;
    }

    /// hyper has read a request. Gives why it is none, if it is the one in place of a refused one.
    pub(super) fn served(&self) -> Option<Fault> {
        lock(&self.socket).inlet().and_then(Inlet::served)
    }

    /// The last request, which names another protocol, is answered.
    pub(super) fn decided(&self, switched: bool) {
        let mut socket = lock(&self.socket);
        if let Some(inlet) = socket.inlet() {
            inlet.decided(switched);
        }
        if let Some(reader) = socket.reader.take() {
            reader.wake();
        }
    }

    /// Why a request has ended whose body did not: who ends its side of the connection in the middle of it, or resets the
    /// stream, does not wait for an answer.
    pub fn unfinished(&self) -> Fault {
        if self.http2 || lock(&self.socket).ended {
            Fault::ClientGone
        } else {
            Fault::Malformed("the body is not valid")
        }
    }

    /// Its last request was refused, for whatever reason: see [`Peer::farewell`].
    pub(super) fn mark_refused(&self) {
        lock(&self.socket).refused = true;
    }

    /// What the caller did too much of, after it was told so: the connection is to be closed.
    pub(super) fn calmed(&self) -> Option<Flood> {
        let mut socket = lock(&self.socket);
        let flood = socket.flood?;
        socket.refused = true;
        // In the middle of a frame it would not be read as one.
        if let (Some(Scan::Frames(frames)), false) = (&socket.scan, socket.in_frame) {
            let mut goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, CALM];
            goaway[9..13].copy_from_slice(&frames.last_stream().to_be_bytes());
            // Whoever does not take it sees the connection's end.
            let _ = socket.stream.try_write(&goaway);
        }
        Some(flood)
    }

    /// Listens for a while to a caller whose last request was refused, or answered before all of it had come, so that it gets
    /// to read the answer.
    pub(super) async fn farewell(&self) {
        let is_unheard = {
            let mut socket = lock(&self.socket);
            socket.refused || socket.inlet().is_some_and(|inlet| inlet.is_unheard())
        };
        if !is_unheard {
            return;
        }
        let listen = async {
            let mut thrown = 0;
            while thrown < FAREWELL_BYTES {
                match poll_fn(|cx| self.throw_away(cx)).await {
                    Ok(0) | Err(_) => return,
                    Ok(more) => thrown += more,
                }
            }
        };
        // Heard out or not, the connection is closed now.
        let _ = tokio::time::timeout(FAREWELL, listen).await;
    }

    /// How many bytes it was. They are read into the stack: in the future they would take room in that of every connection.
    fn throw_away(&self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut waste = [0; 4096];
        let mut waste = ReadBuf::new(&mut waste);
        ready!(Pin::new(&mut lock(&self.socket).stream).poll_read(cx, &mut waste))?;
        Poll::Ready(Ok(waste.filled().len()))
    }

    /// See [`super::peers::Admitted::flooded`].
    pub(super) fn flooded(&self, now: Instant) {
        lock(&self.socket).admission.flooded(now);
    }

    /// Called before a connection is dropped in the middle of a response. Most callers know from the framing that the rest
    /// is missing, and get what was sent. The connection is reset under one to whom its end would look like the response's,
    /// and under one that takes nothing, for whom the kernel would keep what was sent.
    pub(super) fn break_off(&self) {
        let socket = lock(&self.socket);
        if socket.end_is_whole || socket.stalled.is_some() {
            // Fails only on a socket that has ended already.
            let _ = socket.stream.set_zero_linger();
        }
    }

    /// Resolves when the caller of a request that waits has gone, for the task that serves its connection. A side that is
    /// closed is a caller that has gone: one that still listened would be the exception.
    ///
    /// An HTTP/1 server of hyper's reads nothing while bytes of the caller wait to be asked for, and so does not notice the
    /// end behind them. They are read here instead, and kept for it: so the end is found by what the kernel says of itself,
    /// also behind a body that is longer than a socket's buffer, whose end stays with the caller until there is room. Behind
    /// more than that only a reset is noticed, or an end that is in the socket by chance.
    ///
    /// Over HTTP/2 the library reads on at all times, and drops what serves the stream.
    pub async fn left(&self) {
        if self.http2 {
            return pending().await;
        }
        while !poll_fn(|cx| self.read_ahead(cx)).await {
            tokio::time::sleep(LOOK).await;
            if self.is_closed() {
                return;
            }
        }
    }

    /// Whether there is an end, or no room to look for it.
    fn read_ahead(&self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut socket = lock(&self.socket);
        let Socket { stream, scan: Some(Scan::Heads(inlet)), head, .. } = &mut *socket else { return Poll::Pending };
        let mut piece = [0; PIECE];
        while inlet.may_come_ahead(&self.ahead, PIECE) {
            let mut buf = ReadBuf::new(&mut piece);
            let read = Pin::new(&mut *stream).poll_read(cx, &mut buf);
            inlet.came_ahead(buf.filled(), PIECE - buf.filled().len());
            *head = begun(*head, inlet.in_head());
            if ready!(read).is_err() || buf.filled().is_empty() {
                return Poll::Ready(true);
            }
        }
        Poll::Ready(false)
    }

    /// Whether the end of what the caller sends has come, read or not (EPOLLRDHUP).
    fn is_closed(&self) -> bool {
        let ready = lock(&self.socket).stream.ready(Interest::READABLE).now_or_never();
        matches!(ready, Some(Ok(ready)) if ready.is_read_closed()) || matches!(ready, Some(Err(_)))
    }
}

/// The stream, for hyper.
#[derive(Debug)]
pub(super) struct Io {
    socket: Arc<Mutex<Socket>>,
    vectored: bool,
}

/// Splits a connection into what hyper serves and what the request path may ask.
pub(super) fn split(
    stream: TcpStream,
    address: SocketAddr,
    scan: Option<Scan>,
    admission: Admission,
    ahead: &Arc<Room>,
    metrics: &Arc<Metrics>,
) -> (Io, Arc<Peer>) {
    let (vectored, http2) = (stream.is_write_vectored(), matches!(scan, Some(Scan::Frames(_))));
    let untaken = http2.then(|| Untaken::new(metrics));
    let by = By::new(address.ip());
    let socket = Arc::new(Mutex::new(Socket {
        stream,
        stalled: None,
        taken: None,
        end_is_whole: false,
        scan,
        refused: false,
        ended: false,
        head: None,
        flood: None,
        reader: None,
        in_frame: false,
        admission,
    }));
    let ahead = Arc::clone(ahead);
    (Io { socket: Arc::clone(&socket), vectored }, Arc::new(Peer { address, by, http2, untaken, socket, ahead }))
}

/// Since when this head is incomplete, if one is, and `before` was.
fn begun(before: Option<(u64, Instant)>, number: Option<u64>) -> Option<(u64, Instant)> {
    let number = number?;
    before.filter(|(before, _)| *before == number).or_else(|| Some((number, Instant::now())))
}

/// Held for a system call or a few, and contended by nobody: one task serves a connection of HTTP/1.
fn lock(socket: &Mutex<Socket>) -> MutexGuard<'_, Socket> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut socket = lock(&self.socket);
        let Socket { stream, scan, head, flood, reader, ended, .. } = &mut *socket;
        let inlet = match scan {
            Some(Scan::Heads(inlet)) => inlet,
            Some(Scan::Frames(frames)) => {
                let before = buf.filled().len();
                ready!(Pin::new(stream).poll_read(cx, buf))?;
                if let Err(too_much) = frames.came(&buf.filled()[before..], Instant::now) {
                    *flood = Some(too_much);
                    return Poll::Ready(Err(io::Error::other(too_much.as_str())));
                }
                *head = begun(*head, frames.in_head());
                return Poll::Ready(Ok(()));
            }
            None => return Pin::new(stream).poll_read(cx, buf),
        };
        loop {
            if inlet.hand_over(buf) {
                return Poll::Ready(Ok(()));
            }
            if inlet.is_broken() {
                return Poll::Ready(Ok(()));
            }
            if inlet.withholds() {
                // Until it is decided what comes next.
                *reader = Some(cx.waker().clone());
            }
            if inlet.is_closed() {
                return Poll::Pending;
            }
            let before = buf.filled().len();
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, buf));
            if read.is_err() || buf.filled().len() == before {
                *ended = true;
                return Poll::Ready(read);
            }
            inlet.came(buf, before);
            *head = begun(*head, inlet.in_head());
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let mut socket = lock(&self.socket);
        let written = Pin::new(&mut socket.stream).poll_write(cx, buf);
        socket.written(written, buf.len())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.socket).stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut lock(&self.socket).stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut socket = lock(&self.socket);
        let written = gather::write(Pin::new(&mut socket.stream), cx, bufs);
        socket.written(written, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }
}

#[cfg(test)]
impl Peer {
    /// A caller of whom nothing is asked.
    pub(crate) async fn test() -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (opened, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        drop(opened);
        let (stream, address) = accepted.unwrap();
        let admission = Admission::test(address.ip());
        split(stream, address, None, admission, &Room::new(0), &Metrics::new(&mut Default::default())).1
    }
}
