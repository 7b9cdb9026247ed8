//! One stream to one leader.

use std::io;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use link::v1::link_client::LinkClient;
use link::v1::{Acknowledgement, Hello, Report};
use link::{HEARTBEAT, MAX_MESSAGE_BYTES, pin};
use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tracing::info;

use super::dial::Dial;
use super::ledger::Ledger;
use super::{Beacon, Identity, Leader};
use crate::clock;
use crate::index::Index;

/// TCP, TLS and the call itself, each.
const DEADLINE: Duration = Duration::from_secs(3);
/// A report that cannot be handed to the connection for so long means that the leader takes nothing.
const STUCK: Duration = Duration::from_secs(2);
/// A leader that vanished without a word is noticed after this, twice.
const PING: Duration = Duration::from_secs(2);
/// Reports on their way to the connection.
const OUTBOX: usize = 4;
/// At most this often, however much happens.
const GAP: Duration = Duration::from_millis(20);

/// Why a stream ended.
#[derive(Debug, Error)]
pub(super) enum SessionError {
    /// No token to show.
    #[error("the token cannot be read: {0}")]
    Token(io::Error),
    /// The token is not text.
    #[error("the token is not valid in a header")]
    TokenText,
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] tonic::transport::Error),
    /// The leader refused the call, or the stream broke.
    #[error("{0}")]
    Status(#[from] Box<tonic::Status>),
    /// It took too long.
    #[error("the leader does not answer")]
    Deadline,
    /// It takes no reports.
    #[error("the leader takes no reports")]
    Stuck,
}

/// Attaches to a leader and stays until the stream ends.
pub(super) async fn attend<D: Dial>(
    dial: &D,
    leader: &Leader,
    identity: &Identity,
    index: &Index,
    beacon: &Beacon,
) -> Result<(), SessionError> {
    let token = tokio::fs::read_to_string(&identity.token_file).await.map_err(SessionError::Token)?;
    let token: MetadataValue<_> = format!("Bearer {}", token.trim()).parse().map_err(|_| SessionError::TokenText)?;
    let channel = timeout(DEADLINE, connect(dial, leader)).await.map_err(|_| SessionError::Deadline)??;
    let mut client = LinkClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);

    let (outbox, reports) = mpsc::channel(OUTBOX);
    let mut ledger = Ledger::default();
    let hello = Hello {
        boot_id: identity.boot_id.clone(),
        pod_name: identity.pod_name.clone(),
        pod_uid: identity.pod_uid.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    // The leader reads it before it answers the call.
    let mut first = report(&mut ledger, index);
    first.hello = Some(hello);
    send(&outbox, first).await?;
    let mut request = tonic::Request::new(ReceiverStream::new(reports));
    request.metadata_mut().insert("authorization", token);
    let mut orders = timeout(DEADLINE, client.attach(request))
        .await
        .map_err(|_| SessionError::Deadline)?
        .map_err(Box::new)?
        .into_inner();
    info!(leader = %leader.address, "Attached to the leader.");
    beacon.set_attached(true);

    let mut sent = Instant::now();
    loop {
        tokio::select! {
            order = orders.message() => {
                let Some(order) = order.map_err(Box::new)? else { return Ok(()) };
                index.obey(&order, Instant::now());
                // At once, with the counts as they are after the flags were set.
                send(&outbox, report(&mut ledger, index)).await?;
            }
            // Waits for the gap here, and not after it was chosen: orders are obeyed meanwhile.
            () = async {
                sleep_until(sent + GAP).await;
                beacon.urged().await;
            } => send(&outbox, report(&mut ledger, index)).await?,
            () = sleep_until(sent + HEARTBEAT) => send(&outbox, report(&mut ledger, index)).await?,
        }
        sent = Instant::now();
    }
}

async fn connect<D: Dial>(dial: &D, leader: &Leader) -> Result<Channel, SessionError> {
    let tls = TlsConnector::from(pin::client(&leader.fingerprint)?);
    let (dial, address) = (dial.clone(), leader.address);
    let connector = tower::service_fn(move |_| {
        let (tls, dial) = (tls.clone(), dial.clone());
        async move {
            let stream = dial.dial(address).await?;
            let name = ServerName::try_from(pin::SERVER_NAME).map_err(io::Error::other)?;
            io::Result::Ok(TokioIo::new(tls.connect(name, stream).await?))
        }
    });
    // The address is the connector's affair; TLS too.
    let endpoint = Endpoint::from_static("http://rouse-operator")
        .http2_keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .keep_alive_while_idle(true);
    Ok(endpoint.connect_with_connector(connector).await?)
}

async fn send(outbox: &mpsc::Sender<Report>, report: Report) -> Result<(), SessionError> {
    match timeout(STUCK, outbox.send(report)).await {
        Ok(Ok(())) => Ok(()),
        // The stream that took the reports is gone; its end is read next.
        Ok(Err(_)) => Ok(()),
        Err(_) => Err(SessionError::Stuck),
    }
}

/// What has changed, and the acknowledgements with counts read now.
fn report(ledger: &mut Ledger, index: &Index) -> Report {
    let acknowledgements = index.acks().into_iter().map(|ack| Acknowledgement {
        epoch: ack.epoch,
        function_uid: ack.function_uid.to_string(),
        order: ack.order,
        held: u32::try_from(ack.held).unwrap_or(u32::MAX),
        in_flight: u32::try_from(ack.in_flight).unwrap_or(u32::MAX),
        requests: ack.requests,
        issued_ms: ack.issued_ms,
    });
    let acknowledgements = acknowledgements.collect();
    ledger.report(clock::now(), &index.functions(), &index.pods(), acknowledgements)
}
