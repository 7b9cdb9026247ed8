//! A leader on a host of its own: it writes down what it hears, says what it is told to, and can be frozen.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use link::pin::Identity;
use link::v1::link_server::{Link, LinkServer};
use link::v1::{Orders, Report};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::{Sleep, sleep};
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use turmoil::Sim;
use turmoil::net::{TcpListener, TcpStream};

use crate::link::Leader;

const PORT: u16 = 9443;
/// How often a frozen connection looks whether it still is.
const LOOK: Duration = Duration::from_millis(10);

type Outbox = mpsc::Sender<Result<Orders, Status>>;

/// The leader, as the test has it in its hands. Clones are the same one.
#[derive(Clone)]
pub(super) struct Scripted {
    /// What the Lease says of it.
    pub(super) leader: Leader,
    heard: Arc<Mutex<Vec<Report>>>,
    streams: Arc<Mutex<Vec<Outbox>>>,
    frozen: Arc<AtomicBool>,
}

impl Scripted {
    /// Puts it on a host of this name.
    pub(super) fn host(sim: &mut Sim<'static>, name: &'static str) -> Self {
        let identity = Identity::generate().unwrap();
        let address = (sim.lookup(name), PORT).into();
        let leader = Leader { address, fingerprint: identity.fingerprint.clone() };
        let this = Self { leader, heard: Arc::default(), streams: Arc::default(), frozen: Arc::default() };
        let (script, acceptor) = (this.clone(), TlsAcceptor::from(identity.config));
        sim.host(name, move || lead(script.clone(), acceptor.clone()));
        this
    }

    /// Says so on the newest stream.
    pub(super) fn send(&self, orders: Orders) {
        self.streams.lock().unwrap().last().unwrap().try_send(Ok(orders)).unwrap();
    }

    /// Every report since the last [`Self::news`].
    pub(super) fn heard(&self) -> Vec<Report> {
        self.heard.lock().unwrap().clone()
    }

    /// The same, and forgets them.
    pub(super) fn news(&self) -> Vec<Report> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }

    /// Streams there ever were.
    pub(super) fn streams(&self) -> usize {
        self.streams.lock().unwrap().len()
    }

    /// From now on it takes no bytes and gives none, as a stopped process; or it does again.
    pub(super) fn freeze(&self, frozen: bool) {
        self.frozen.store(frozen, Ordering::Release);
    }
}

#[tonic::async_trait]
impl Link for Scripted {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<Orders, Status>> + Send>>;

    async fn attach(&self, request: Request<Streaming<Report>>) -> Result<Response<Self::AttachStream>, Status> {
        let (outbox, orders) = mpsc::channel(8);
        self.streams.lock().unwrap().push(outbox);
        let (heard, mut reports) = (Arc::clone(&self.heard), request.into_inner());
        tokio::spawn(async move {
            while let Some(Ok(report)) = reports.next().await {
                heard.lock().unwrap().push(report);
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(orders))))
    }
}

async fn lead(script: Scripted, acceptor: TlsAcceptor) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (connections, accepted) = mpsc::channel(16);
    let frozen = Arc::clone(&script.frozen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream = Freezing { stream, frozen: Arc::clone(&frozen), look: Box::pin(sleep(LOOK)) };
            let (acceptor, connections) = (acceptor.clone(), connections.clone());
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    let _ = connections.send(io::Result::Ok(stream)).await;
                }
            });
        }
    });
    let serve = tonic::transport::Server::builder().add_service(LinkServer::new(script));
    serve.serve_with_incoming(ReceiverStream::new(accepted)).await?;
    Ok(())
}

/// A connection of a process that may be stopped.
struct Freezing {
    stream: TcpStream,
    frozen: Arc<AtomicBool>,
    look: Pin<Box<Sleep>>,
}

impl Freezing {
    fn poll_thawed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.frozen.load(Ordering::Acquire) {
            ready!(self.look.as_mut().poll(cx));
            self.look = Box::pin(sleep(LOOK));
        }
        Poll::Ready(())
    }
}

impl Connected for Freezing {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Freezing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Freezing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_thawed(cx));
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
