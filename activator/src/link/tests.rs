mod network;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crds::route::Domains;
use futures::Stream;
use link::pin;
use link::v1::link_server::{Link, LinkServer};
use link::v1::{Drain, Orders, Report};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::dial::Tcp;
use super::leader::Leader;
use super::{Beacon, Identity, session};
use crate::index::Index;
use crate::routes::Table;

const SOON: Duration = Duration::from_secs(30);

/// A leader that passes on what it hears, and says what it is told to.
struct Fake {
    heard: mpsc::Sender<Report>,
    orders: std::sync::Mutex<Option<mpsc::Receiver<Result<Orders, Status>>>>,
}

#[tonic::async_trait]
impl Link for Fake {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<Orders, Status>> + Send>>;

    async fn attach(&self, request: Request<Streaming<Report>>) -> Result<Response<Self::AttachStream>, Status> {
        if request.metadata().get("authorization").is_none_or(|token| token != "Bearer secret") {
            return Err(Status::unauthenticated("who is it?"));
        }
        let (heard, mut reports) = (self.heard.clone(), request.into_inner());
        // As the real one, it hears the hello before it answers.
        let hello = reports.next().await.ok_or_else(|| Status::invalid_argument("no hello"))??;
        heard.send(hello).await.unwrap();
        tokio::spawn(async move {
            while let Some(Ok(report)) = reports.next().await {
                heard.send(report).await.unwrap();
            }
        });
        let orders = self.orders.lock().unwrap().take().unwrap();
        Ok(Response::new(Box::pin(ReceiverStream::new(orders))))
    }
}

struct World {
    leader: Leader,
    heard: mpsc::Receiver<Report>,
    orders: mpsc::Sender<Result<Orders, Status>>,
    identity: Identity,
    index: Arc<Index>,
    beacon: Arc<Beacon>,
}

async fn world(token: &str) -> World {
    let certified = pin::Identity::generate().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let leader = Leader { address: listener.local_addr().unwrap(), fingerprint: certified.fingerprint.clone() };
    let (heard_by, heard) = mpsc::channel(64);
    let (orders, given) = mpsc::channel(8);
    let fake = Fake { heard: heard_by, orders: std::sync::Mutex::new(Some(given)) };
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(certified.config);
        let (connections, accepted) = mpsc::channel(4);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.send(acceptor.accept(stream).await).await.unwrap();
            }
        });
        let serve = tonic::transport::Server::builder().add_service(LinkServer::new(fake));
        serve.serve_with_incoming(ReceiverStream::new(accepted)).await.unwrap();
    });
    let (index, beacon) = index();
    World { leader, heard, orders, identity: identity(token, token), index, beacon }
}

/// This activator, with a token file of its own.
fn identity(file: &str, token: &str) -> Identity {
    let token_file = std::env::temp_dir().join(format!("rouse-test-token-{}-{file}", std::process::id()));
    std::fs::write(&token_file, format!("{token}\n")).unwrap();
    Identity {
        boot_id: "boot".into(),
        pod_name: "activator-1".into(),
        pod_uid: "uid-1".into(),
        namespace: "rouse".into(),
        token_file,
    }
}

fn index() -> (Arc<Index>, Arc<Beacon>) {
    let beacon = Arc::new(Beacon::default());
    let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    (Arc::new(Index::new(Arc::new(Table::new(domains)), Arc::clone(&beacon))), beacon)
}

#[tokio::test]
async fn a_stream_begins_with_a_hello_and_obeys() {
    let World { leader, mut heard, orders, identity, index, beacon } = world("secret").await;
    let object = json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"namespace": "shop", "name": "hello", "uid": "f"},
        "spec": {"image": "i"}, "status": {"revision": "r1"}});
    index.function_applied(&serde_json::from_value(object).unwrap());
    let labels = json!({"rouse.dev/function": "hello", "rouse.dev/revision": "r1", "rouse.dev/function-uid": "f"});
    let pod = json!({"metadata": {"namespace": "shop", "name": "a", "uid": "a", "labels": labels}});
    index.pod_applied(&serde_json::from_value(pod).unwrap(), Instant::now());

    let (own_index, own_beacon) = (Arc::clone(&index), Arc::clone(&beacon));
    let attended =
        tokio::spawn(async move { session::attend(&Tcp, &leader, &identity, &own_index, &own_beacon).await });
    let mut next = async || timeout(SOON, heard.recv()).await.unwrap().unwrap();

    let hello = next().await;
    let said = hello.hello.unwrap();
    assert_eq!((hello.sequence, said.boot_id.as_str(), said.pod_uid.as_str()), (1, "boot", "uid-1"));
    assert_eq!((hello.pods.len(), hello.pods[0].drained), (1, false));

    let drain = Drain { function_uid: "f".into(), order: 3, pod_uids: vec!["a".into()], valid_ms: 5000 };
    orders.send(Ok(Orders { epoch: 9, drains: vec![drain], issued_ms: 77, ..Orders::default() })).await.unwrap();
    let report = loop {
        let report = next().await;
        if !report.acknowledgements.is_empty() {
            break report;
        }
    };
    let ack = &report.acknowledgements[0];
    assert_eq!((ack.epoch, ack.order, ack.in_flight, ack.function_uid.as_str()), (9, 3, 0, "f"));
    assert_eq!(ack.issued_ms, 77, "the leader sees how old it can be");
    assert!(report.pods.iter().any(|pod| pod.uid == "a" && pod.drained));
    assert!(beacon.attached());

    // A heartbeat repeats the acknowledgement, and nothing else. When it comes is for the simulated network to say.
    let beat = loop {
        let report = next().await;
        if report.pods.is_empty() {
            break report;
        }
    };
    assert_eq!((beat.functions.len(), beat.acknowledgements.len()), (0, 1));

    // The leader steps down.
    drop(orders);
    timeout(SOON, attended).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_wrong_token_or_certificate_is_an_error() {
    let World { leader, identity, index, beacon, .. } = world("wrong").await;
    let refused = session::attend(&Tcp, &leader, &identity, &index, &beacon).await.unwrap_err();
    assert!(refused.to_string().contains("who is it?"), "{refused}");
    let other = Leader { fingerprint: "0".repeat(64), ..leader };
    assert!(session::attend(&Tcp, &other, &identity, &index, &beacon).await.is_err());
    assert!(!beacon.attached());
}
