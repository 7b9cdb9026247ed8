//! One connection of a caller: HTTP/1.1 or HTTP/2 with prior knowledge, told apart by its first bytes.

use std::convert::Infallible;
use std::error::Error as _;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::Service;
use tracing::debug;

use super::Room;
use super::admission::Admission;
use super::deadline::{self, Late, watched};
use super::io::{self as peer_io, Peer, Progress, Scan};
use super::quiet::Quiet;
use super::streams::Streams;
use crate::args::Limits;
use crate::path::body::ResponseBody;
use crate::path::call::Accepted;
use crate::path::headers;
use crate::wire::{Frames, Inlet};

/// Bytes of a request's body that wait here while the request is held, a stream. It also is what a stream may have under
/// way later on: hyper's window is one for all streams, of whatever age.
const STREAM_WINDOW: u32 = 32 * 1024;
/// Bytes of a response that wait here for a slow caller, a stream.
const SEND_BUFFER: usize = 128 * 1024;
/// A caller that vanished without a word is noticed after this and [`PING_TIMEOUT`].
const PING_EVERY: Duration = Duration::from_secs(30);
/// See [`PING_EVERY`].
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The same for HTTP/1, where the kernel asks.
const KEEPALIVE: Duration = Duration::from_secs(60);
/// Streams of a connection that may break a rule of HTTP/2 before the connection is closed for it.
const BROKEN_STREAMS: usize = 128;
/// Between two looks at a preface that comes in pieces.
const PREFACE_LOOK: Duration = Duration::from_millis(5);
/// How long a caller has to close an HTTP/2 connection that it does not use, after it was asked to.
const GOODBYE: Duration = Duration::from_secs(5);
/// How long an HTTP/1 connection is kept from the end of the process' being wanted on, and from the end of an answer that did
/// not say that it is the last, if nothing comes on it. A request may be under way, which would be lost with the connection;
/// HTTP/2 has GOAWAY for that.
const LAST_CALL: Duration = Duration::from_secs(5);
/// How an HTTP/2 connection begins (RFC 9113, section 3.4). No method of HTTP/1 does.
const PREFACE: &[u8; 3] = b"PRI";

/// Breaks the connection off when dropped, unless it is let be: serving that is cut at the end of a drain, or that panics,
/// is in the middle of something.
struct Unfinished(Option<Arc<Peer>>);

impl Unfinished {
    fn let_be(mut self) {
        self.0 = None;
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(peer) = &self.0 {
            peer.break_off();
        }
    }
}

/// Serves one connection to its end; from `stop` on, only the requests that have come.
pub(super) async fn serve<P>(
    stream: TcpStream,
    address: SocketAddr,
    path: P,
    room: Room,
    admission: Admission,
    stop: CancellationToken,
) where
    P: Service<Accepted, Response = Response<ResponseBody>, Error = Infallible, Future: Future + Send + 'static>
        + Clone
        + Send
        + 'static,
{
    let Room { limits, metrics, ahead, .. } = room;
    let last_call = async {
        stop.cancelled().await;
        sleep(LAST_CALL).await;
    };
    let opened = tokio::select! {
        biased;
        opened = open(&stream, &limits) => opened.ok(),
        () = last_call => None,
    };
    let Some(is_http2) = opened else {
        debug!(peer = %address, "A connection was closed before its first request.");
        return;
    };
    if is_http2
        && let Some(until) = admission.waits(Instant::now())
        && stop.run_until_cancelled(sleep_until(until)).await.is_none()
    {
        return;
    }
    let scan = if is_http2 {
        Scan::Frames(Frames::new(limits.max_control_frames, limits.max_resets, Instant::now()))
    } else {
        Scan::Heads(Inlet::new(bytes(limits.max_head_bytes), limits.max_uri_bytes.get()))
    };
    let (io, peer) = peer_io::split(stream, address, Some(scan), admission, &ahead, &metrics);
    let unfinished = Unfinished(Some(Arc::clone(&peer)));
    let caller = Arc::clone(&peer);
    let last = Arc::new(AtomicBool::new(false));
    let ending = Arc::clone(&last);
    let service = service_fn(move |request: Request<Incoming>| {
        if request.version() == Version::HTTP_10 {
            caller.reads_to_the_end();
        }
        let upgrade = request.headers().contains_key(UPGRADE);
        if request.version() < Version::HTTP_2 {
            deadline::asked();
        }
        // No layer of the path makes a request wait before it is called.
        let answer = path.clone().call(Accepted { refused: caller.served(), request, peer: Arc::clone(&caller) });
        let caller = Arc::clone(&caller);
        let last = Arc::clone(&last);
        async move {
            let Ok(mut answer) = answer.await;
            if last.load(Ordering::Relaxed) && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if upgrade {
                caller.decided(answer.status() == StatusCode::SWITCHING_PROTOCOLS);
            }
            if headers::closes(answer.headers()) {
                caller.mark_refused();
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = pin!(async {
        if is_http2 {
            // On the heap: connections of HTTP/1 are many, and this one's state is several times the size of theirs.
            let streams = Streams::new();
            let builder = http2(&limits, streams.clone());
            let mut connection = Box::pin(builder.serve_connection(TokioIo::new(io), service));
            let patience = |now| peer.untaken.as_ref().and_then(|untaken| untaken.patience(now));
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = streams.unused(limits.header_timeout, patience) => {
                    // A request that crosses the GOAWAY is still taken.
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = async {
                            sleep(GOODBYE).await;
                            streams.unused(limits.header_timeout, patience).await;
                        } => Ok(()),
                    }
                }
            }
        } else {
            let mut connection = pin!(http1(&limits).serve_connection(TokioIo::new(io), service).with_upgrades());
            match Quiet::new(stop.cancelled()).until(connection.as_mut()).await {
                Some(ended) => ended,
                None => {
                    // Whoever asks now is told that this was the last time.
                    ending.store(true, Ordering::Relaxed);
                    tokio::select! {
                        ended = connection.as_mut() => ended,
                        () = deadline::unused(LAST_CALL) => {
                            connection.as_mut().graceful_shutdown();
                            connection.await
                        }
                    }
                }
            }
        }
    });
    let late = || {
        let Progress { stalled, taken, head } = peer.progress();
        Late {
            stalled: stalled.map(|since| since + limits.header_timeout),
            taken,
            half: head.map(|since| since + limits.head_timeout),
            unused: (!is_http2).then_some(limits.header_timeout),
        }
    };
    // By reference, here and elsewhere: what an async function is given is kept twice, as given and as pinned.
    match watched(serving, late).await {
        None => debug!(peer = %address, "A connection was broken off: the time for what is on it is up."),
        Some(Err(error)) => {
            if is_abuse(&error) {
                peer.flooded(Instant::now());
                metrics.abuse();
            }
            if let Some(flood) = peer.calmed() {
                peer.flooded(Instant::now());
                metrics.flood(flood);
                debug!(peer = %address, flood = flood.as_str(), "A connection was closed: its caller floods it.");
                peer.farewell().await;
                // From its end on, however long that took.
                peer.flooded(Instant::now());
                return;
            }
            // The path's only errors are bodies that broke off.
            if !error.is_user() {
                unfinished.let_be();
            }
            debug!(peer = %address, %error, "A connection broke.");
        }
        Some(Ok(())) => {
            unfinished.let_be();
            peer.farewell().await;
        }
    }
}

/// Whether the HTTP/2 library has told the caller to calm down.
fn is_abuse(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_library() && cause.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM))
}

/// Waits for the first bytes; whether they are those of HTTP/2.
async fn open(stream: &TcpStream, limits: &Limits) -> io::Result<bool> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 4))?;
    let mut first = [0; PREFACE.len()];
    let mut late = Instant::now() + limits.header_timeout;
    let mut begun = false;
    loop {
        let seen = timeout_at(late, stream.peek(&mut first)).await??;
        if seen == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..seen] != PREFACE[..seen] {
            return Ok(false);
        }
        if seen == PREFACE.len() {
            return Ok(true);
        }
        if !begun {
            (begun, late) = (true, Instant::now() + limits.head_timeout);
        } else if late <= Instant::now() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        tokio::time::sleep(PREFACE_LOOK).await;
    }
}

fn bytes(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // The inlet refuses what is longer, so hyper never has to.
    let head = bytes(limits.max_head_bytes).saturating_add(limits.max_uri_bytes.get()).saturating_add(4096);
    // The time of a head is kept with all the other times: hyper would make a timer for each.
    builder.header_read_timeout(None).max_buf_size(head);
    builder
}

fn http2(limits: &Limits, run: Streams) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(run);
    let streams = limits.max_streams.get();
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        // The budget of resets is the rule, whether the streams were seen or not; the library's own 20 of these break off a
        // caller that gives up a page's worth of requests while this process is busy.
        .max_pending_accept_reset_streams(bytes(streams).saturating_mul(2))
        // For the life of a connection: streams that a caller gets reset by breaking a rule (CVE-2025-8671).
        .max_local_error_reset_streams(BROKEN_STREAMS)
        .max_header_list_size(limits.max_head_bytes)
        .initial_stream_window_size(STREAM_WINDOW)
        // Room for every stream's window: no held upload can stop the others.
        .initial_connection_window_size(STREAM_WINDOW.saturating_mul(streams).min(i32::MAX.unsigned_abs()))
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
