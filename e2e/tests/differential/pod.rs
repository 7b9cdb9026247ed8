//! A pod that keeps the bytes it is sent, and what its server read in them.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use anyhow::Result;
use bytes::Bytes;
use e2e::readers::Reading;
use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What came on one connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tape {
    pub(crate) bytes: Vec<u8>,
    /// The requests that came to their end.
    pub(crate) readings: Vec<Reading>,
    /// The request that did not has a head.
    pub(crate) broken: bool,
    /// The pod's server refused something.
    pub(crate) refused: bool,
}

type Shared = Arc<Mutex<Tape>>;

fn change<T>(tape: &Shared, change: impl FnOnce(&mut Tape) -> T) -> T {
    change(&mut tape.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A pod on a port of its own.
pub(crate) struct Pod {
    listener: TcpListener,
    /// No further request is taken on a connection that has none under way.
    end: CancellationToken,
    tapes: Vec<Shared>,
    served: JoinSet<()>,
}

impl Pod {
    pub(crate) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self { listener, end: CancellationToken::new(), tapes: Vec::new(), served: JoinSet::new() })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves for as long as this is polled. May be dropped at any time.
    pub(crate) async fn serve(&mut self) -> Infallible {
        loop {
            if let Ok((stream, _)) = self.listener.accept().await {
                self.take(stream);
            }
        }
    }

    fn take(&mut self, stream: TcpStream) {
        let tape = Shared::default();
        self.tapes.push(Arc::clone(&tape));
        self.served.spawn(connection(stream, tape, self.end.clone()));
    }

    /// What came, by connection, once the other end has let go of them all. One on which nothing came was a probe.
    pub(crate) async fn tapes(mut self) -> Vec<Tape> {
        // Those that are open and not accepted.
        while let Some(Ok((stream, _))) = self.listener.accept().now_or_never() {
            self.take(stream);
        }
        self.end.cancel();
        while self.served.join_next().await.is_some() {}
        let tapes = self.tapes.iter().map(|tape| change(tape, |tape| tape.clone()));
        tapes.filter(|tape| !tape.bytes.is_empty()).collect()
    }
}

async fn connection(stream: TcpStream, tape: Shared, end: CancellationToken) {
    let keeper = Arc::clone(&tape);
    let service = service_fn(move |request| answer(request, Arc::clone(&keeper)));
    let io = TokioIo::new(Taped { stream, tape: Arc::clone(&tape) });
    let mut serving = std::pin::pin!(http1::Builder::new().serve_connection(io, service));
    let served = tokio::select! {
        served = serving.as_mut() => served,
        () = end.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if served.is_err_and(|error| error.is_parse()) {
        change(&tape, |tape| tape.refused = true);
    }
}

/// Answers when the whole request is there, so that what follows on the connection follows it.
async fn answer(request: Request<Incoming>, tape: Shared) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    change(&tape, |tape| tape.broken = true);
    let body = body.collect().await?.to_bytes();
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect::<String>();
    let fields = head.headers.iter().filter(|(name, _)| *name != HOST);
    let reading = Reading {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        host: head.headers.get(HOST).map(text).unwrap_or_default(),
        fields: fields.map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: body.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    change(&tape, |tape| {
        tape.broken = false;
        tape.readings.push(reading);
    });
    Ok(Response::new(Full::default()))
}

/// A stream of which all that is read is kept.
struct Taped {
    stream: TcpStream,
    tape: Shared,
}

impl AsyncRead for Taped {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        change(&self.tape, |tape| tape.bytes.extend_from_slice(&buf.filled()[before..]));
        read
    }
}

impl AsyncWrite for Taped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
