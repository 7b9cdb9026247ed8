//! An activator on a simulated host: its watches, index, waker, probes, request path and connections to pods are what the
//! program has, put together as in `app`. Only the callers' connections are hyper's alone: `server` looks into sockets in
//! ways that a simulated one does not have.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crds::route::Domains;
use http::{Request, Uri};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use tower::{Service as _, ServiceExt as _, service_fn as tower_service};
use turmoil::net::{TcpListener, TcpStream};

use super::cluster;
use crate::args::Limits;
use crate::hold::Places;
use crate::index::Index;
use crate::link::Beacon;
use crate::metrics::Metrics;
use crate::path::call::Accepted;
use crate::path::tracing::Tracing;
use crate::path::{self, tunnel::Tunnels};
use crate::pods::survey;
use crate::probe::Prober;
use crate::routes::Table;
use crate::server::Peer;
use crate::wake::Waker;
use crate::watch;

pub(super) const PORT: u16 = 8080;

/// What outlives the host, for the test to look into.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) index: Arc<Index>,
    pub(super) places: Arc<Places>,
    table: Arc<Table>,
    beacon: Arc<Beacon>,
    /// Stands for every caller's connection.
    peer: Arc<Peer>,
}

impl Shared {
    pub(super) fn new(peer: Arc<Peer>) -> Self {
        let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
        let (table, beacon) = (Arc::new(Table::new(domains)), Arc::new(Beacon::default()));
        let index = Arc::new(Index::new(Arc::clone(&table), Arc::clone(&beacon)));
        Self { index, places: Places::new(&Limits::default()), table, beacon, peer }
    }
}

/// Runs it against the API server on this host.
pub(super) async fn run(shared: Shared, api: &'static str) -> turmoil::Result {
    let Shared { index, places, table, beacon, peer } = shared;
    let cut = CancellationToken::new();
    let (limits, metrics) = (Limits::default(), Metrics::new(&mut Registry::default()));
    let prober = Prober::new(Arc::clone(&beacon));
    let waker = Waker::new(client(api), Duration::from_secs(10), &metrics, &index, &beacon);
    tokio::spawn(survey::run(Arc::clone(&index), Arc::clone(&metrics), cut.clone()));
    let path = path::build(&path::Parts {
        table,
        limits: Arc::new(limits.clone()),
        places,
        waker,
        beacon,
        tunnels: Tunnels::new(cut.clone(), &limits, &metrics),
        metrics,
        tracing: Tracing::default(),
    });
    let watches = watch::start(&client(api), &index, &prober, &Arc::default(), &cut);
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (path, peer) = (path.clone(), Arc::clone(&peer));
        let service = service_fn(move |request: Request<Incoming>| {
            path.clone().call(Accepted { request, peer: Arc::clone(&peer), refused: None })
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        assert!(!watches.is_empty());
    }
}

/// As `runtime::client::connect` makes it, but for TLS: with the same limits, and a pool of connections of its own.
fn client(api: &'static str) -> Client {
    let connector = tower_service(move |_: Uri| async move {
        let stream = TcpStream::connect((api, cluster::PORT)).await?;
        io::Result::Ok(TokioIo::new(Wire(stream)))
    });
    let mut connector = TimeoutConnector::new(connector);
    connector.set_connect_timeout(Some(runtime::client::CONNECT));
    connector.set_read_timeout(Some(runtime::client::WATCH_SILENCE));
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = client.map_request(move |mut request: Request<kube::client::Body>| {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = format!("http://{api}{path}").parse().unwrap();
        request
    });
    Client::new(service, "default")
}

/// A connection to the API server.
struct Wire(TcpStream);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
