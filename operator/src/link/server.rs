//! Listens for activators and serves them over TLS.

use std::{
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use link::{MAX_MESSAGE_BYTES, pin::Identity, v1::link_server::LinkServer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tracing::{debug, warn};

use super::{limits, service::Service};

mod connection;
mod places;

pub(super) use connection::Connection;
pub use connection::Peer;
use places::{Place, Places};

/// Pause after the listener failed to accept: usually there are no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Handshaken connections that wait to be served.
const WAITING: usize = 16;

/// Listens on IPv6 and IPv4 together; on IPv4 alone where the kernel has no IPv6.
///
/// # Errors
/// When the port cannot be bound.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
        bound => bound,
    }
}

/// Serves until `over`; then every stream is told so, and connections end with them.
///
/// # Errors
/// When the transport fails as a whole.
pub async fn serve(
    listener: TcpListener,
    identity: &Identity,
    service: Service,
    over: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let (handshaken, connections) = mpsc::channel(WAITING);
    let acceptor = TlsAcceptor::from(Arc::clone(&identity.config));
    tokio::select! {
        () = accept(listener, acceptor, handshaken) => Ok(()),
        served = transport(ReceiverStream::new(connections), service, over) => served,
    }
}

/// Serves connections that have shaken hands.
pub(super) async fn transport<S>(
    connections: impl Stream<Item = io::Result<Connection<S>>>,
    service: Service,
    over: CancellationToken,
) -> Result<(), tonic::transport::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Server::builder()
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(limits::HEADER_BYTES)
        .http2_keepalive_interval(Some(limits::SILENCE))
        .http2_keepalive_timeout(Some(limits::SILENCE))
        .add_service(LinkServer::new(service).max_decoding_message_size(MAX_MESSAGE_BYTES))
        .serve_with_incoming_shutdown(connections, over.cancelled_owned())
        .await
}

/// Accepts connections, as many at once as there are places, and shakes hands with each on its own time.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    handshaken: mpsc::Sender<io::Result<Connection<TlsStream<TcpStream>>>>,
) {
    let places = Places::new();
    let mut handshakes = JoinSet::new();
    while let Some(one) = places.any().await {
        while handshakes.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => match places.give(one, peer.ip()) {
                Some(place) => {
                    handshakes.spawn(handshake(stream, peer, acceptor.clone(), place, handshaken.clone()));
                }
                None => debug!(%peer, "A caller has too many connections; this one is closed."),
            },
            Err(error) => {
                warn!(%error, "A connection could not be accepted.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn handshake(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: TlsAcceptor,
    place: Place,
    handshaken: mpsc::Sender<io::Result<Connection<TlsStream<TcpStream>>>>,
) {
    // Reports and orders are small and must not wait for one another.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %peer, "A connection broke before its handshake.");
        return;
    }
    match timeout(limits::HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            // The error says that the server is gone.
            let _ = handshaken.send(Ok(Connection::new(stream, peer, Some(place)))).await;
        }
        Ok(Err(error)) => debug!(%error, %peer, "A TLS handshake failed."),
        Err(_) => debug!(%peer, "A TLS handshake took too long."),
    }
}
