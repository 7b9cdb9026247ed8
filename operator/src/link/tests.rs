//! The link as a whole: real TLS and real gRPC between a leader and activators, in memory, with the clock stopped.

pub(crate) mod fake;
mod network;

use std::{collections::BTreeSet, io, net::SocketAddr, sync::Arc, time::Duration};

use link::{
    pin::Identity,
    v1::{Drain, Orders, Report},
};
use tokio::{
    io::DuplexStream,
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};

use super::{
    Board, Metrics, limits,
    server::{self, Connection},
    service::Service,
    token::Tokens,
};
use crate::scaling::tests::Cluster;
use fake::{attach, channel, hello};

/// A leader's link server whose connections are made in memory.
pub(crate) struct Server {
    pub(crate) board: Arc<Board>,
    identity: Identity,
    connections: mpsc::Sender<io::Result<Connection<TlsStream<DuplexStream>>>>,
    pub(crate) over: CancellationToken,
}

impl Server {
    pub(crate) fn start(cluster: &Cluster, board: Arc<Board>, orders: watch::Receiver<Arc<Orders>>) -> Self {
        let over = CancellationToken::new();
        let tokens = Tokens::new(cluster.client(), "rouse-system", "rouse-activator");
        let service = Service::new(Arc::clone(&board), tokens, orders, over.clone(), Metrics::default());
        let (connections, receiver) = mpsc::channel(8);
        tokio::spawn(server::transport(ReceiverStream::new(receiver), service, over.clone()));
        Self { board, identity: Identity::generate().unwrap(), connections, over }
    }

    pub(crate) async fn connect(&self) -> Channel {
        let (near, far) = tokio::io::duplex(1 << 20);
        let acceptor = TlsAcceptor::from(Arc::clone(&self.identity.config));
        let connections = self.connections.clone();
        let from = SocketAddr::from(([10, 0, 0, 9], 1234));
        tokio::spawn(async move {
            let stream = acceptor.accept(far).await.map(|stream| Connection::new(stream, from, None));
            connections.send(stream).await
        });
        channel(near, &self.identity.fingerprint).await.unwrap()
    }
}

struct World {
    cluster: Cluster,
    server: Server,
    orders: watch::Sender<Arc<Orders>>,
}

impl World {
    fn new() -> Self {
        let cluster = Cluster::new();
        cluster.activator("a");
        let (orders, receiver) = watch::channel(Arc::new(Orders { epoch: 7, ..Orders::default() }));
        let board = Arc::new(Board::new(Metrics::default()));
        board.set_counting(BTreeSet::from(["uid-a".to_owned()]));
        let server = Server::start(&cluster, board, receiver);
        Self { cluster, server, orders }
    }

    /// What the stream of a caller with this token and this first report ends with.
    async fn refusal(&self, token: &str, first: Report) -> tonic::Status {
        match attach(self.server.connect().await, token, first).await {
            Err(status) => status,
            Ok((_reports, mut orders)) => loop {
                match timeout(Duration::from_secs(60), orders.message()).await.expect("the stream ends") {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("closed without a reason"),
                    Err(status) => return status,
                }
            },
        }
    }

    fn known(&self) -> usize {
        self.server.board.roster().heads(Instant::now().into_std()).known
    }
}

fn next(sequence: u64) -> Report {
    Report { sequence, clock_ms: 1_000_000, ..Report::default() }
}

#[tokio::test(start_paused = true)]
async fn an_activator_with_its_own_token_attaches_and_gets_what_holds() {
    let world = World::new();
    let (reports, mut orders) = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    assert_eq!(orders.message().await.unwrap().unwrap().epoch, 7);
    reports.send(next(2)).await.unwrap();
    let drain = Drain { function_uid: "uf".into(), order: 1, pod_uids: vec!["p".into()], valid_ms: 5000 };
    world.orders.send_replace(Arc::new(Orders { epoch: 7, drains: vec![drain.clone()], ..Orders::default() }));
    assert_eq!(orders.message().await.unwrap().unwrap().drains, [drain]);
    assert_eq!(world.known(), 1);
    drop((reports, orders));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.known(), 0, "a closed stream is unknown at once");
}

#[tokio::test(start_paused = true)]
async fn who_is_not_the_activator_is_refused_and_told_little() {
    let world = World::new();
    world.cluster.activator("b");
    {
        let tokens = &mut world.cluster.api().tokens;
        let mut change = |name: &str, change: fn(&mut serde_json::Value)| {
            let mut review = tokens["token-a"].clone();
            change(&mut review);
            tokens.insert(name.to_owned(), review);
        };
        change("other-audience", |review| review["audiences"] = serde_json::json!(["other"]));
        change("other-user", |review| {
            review["user"]["username"] = serde_json::json!("system:serviceaccount:shop:rfn-f")
        });
        change("unbound", |review| review["user"]["extra"] = serde_json::json!({}));
    }
    for (token, first, code) in [
        ("", hello("a", "b"), Code::Unauthenticated),
        ("nonsense", hello("a", "b"), Code::Unauthenticated),
        ("other-audience", hello("a", "b"), Code::Unauthenticated),
        ("other-user", hello("a", "b"), Code::PermissionDenied),
        ("unbound", hello("a", "b"), Code::PermissionDenied),
        // b's own token, in the name of a.
        ("token-b", hello("a", "b"), Code::PermissionDenied),
        ("token-a", Report { hello: None, ..hello("a", "b") }, Code::FailedPrecondition),
        ("token-a", Report { sequence: 2, ..hello("a", "b") }, Code::FailedPrecondition),
    ] {
        let status = world.refusal(token, first.clone()).await;
        assert_eq!(status.code(), code, "{token}: {status}");
        assert!(!status.message().contains("system:"), "{status}");
        assert_eq!(world.known(), 0, "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gap_ends_the_stream_and_a_new_one_starts_over() {
    let world = World::new();
    let (reports, mut orders) = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    orders.message().await.unwrap();
    reports.send(next(3)).await.unwrap();
    let status = orders.message().await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.known(), 0);
    let again = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.known(), 1);
    // A restarted process has another boot id, and takes the place of the old one's stream.
    let (reports, _orders) = attach(world.server.connect().await, "token-a", hello("a", "b2")).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    let (old, mut old_orders) = again;
    old.send(next(2)).await.unwrap();
    old_orders.message().await.unwrap();
    assert_eq!(old_orders.message().await.unwrap_err().code(), Code::FailedPrecondition);
    reports.send(next(2)).await.unwrap();
    assert_eq!(world.known(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_unknown_after_3_s_and_closed_after_10() {
    let world = World::new();
    let (_reports, mut orders) = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    orders.message().await.unwrap();
    sleep(Duration::from_millis(2900)).await;
    assert_eq!(world.known(), 1);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(world.known(), 0);
    let status = timeout(limits::SILENCE, orders.message()).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_first_report_is_closed() {
    let world = World::new();
    let (reports, receiver) = mpsc::channel::<Report>(1);
    let mut request = tonic::Request::new(ReceiverStream::new(receiver));
    request.metadata_mut().insert("authorization", "Bearer token-a".parse().unwrap());
    let mut client = link::v1::link_client::LinkClient::new(world.server.connect().await);
    let mut orders = client.attach(request).await.unwrap().into_inner();
    let ended = timeout(limits::HELLO + Duration::from_secs(1), orders.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    drop(reports);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_term_ends_every_stream() {
    let world = World::new();
    let fake = fake::Fake::start(world.server.connect().await, "a").await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.known(), 1);
    world.server.over.cancel();
    assert_eq!(fake.ended().await.unwrap().code(), Code::Unavailable);
    assert_eq!(world.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_large_ends_the_stream() {
    let world = World::new();
    let (reports, mut orders) = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    orders.message().await.unwrap();
    let count = link::v1::FunctionCount { uid: "x".repeat(link::MAX_MESSAGE_BYTES + 1), ..Default::default() };
    reports.send(Report { functions: vec![count], ..next(2) }).await.unwrap();
    let ended = timeout(Duration::from_secs(5), orders.message()).await.unwrap();
    assert!(!matches!(ended, Ok(Some(_))), "{ended:?}");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.known(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_valid_token_is_closed_after_a_while_and_one_with_it_stays() {
    let world = World::new();
    let channel = world.server.connect().await;
    let begun = Instant::now();
    let refused = attach(channel.clone(), "nonsense", hello("a", "b")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(begun.elapsed() >= limits::REFUSAL, "guesses cost time");
    sleep(limits::TRIAL).await;
    // The one connection that this channel can have is gone.
    assert_eq!(attach(channel, "token-a", hello("a", "b")).await.unwrap_err().code(), Code::Unavailable);
    let fake = fake::Fake::start(world.server.connect().await, "a").await;
    sleep(limits::TRIAL * 3).await;
    assert_eq!(world.known(), 1);
    drop(fake);
}
