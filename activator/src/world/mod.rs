//! Tests of the whole data path: callers over TCP, pods that are servers in this process, and an API server that is a
//! script and fails on whatever is not in it.

mod access;
mod addresses;
mod again;
mod bodies;
mod cold;
mod comebacks;
mod conformance;
mod connections;
mod deadlines;
mod departures;
mod drains;
mod exchanges;
mod failing;
mod floods;
mod frames;
mod held_uploads;
mod messages;
mod outliers;
mod overload;
mod pod;
mod protocols;
mod queues;
mod seen;
mod uploads;
mod warm;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crds::route::Domains;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use kube::Client;
use kube::client::Body;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower_test::mock::{self, Handle, SendResponse};

pub(crate) use pod::{TestPod, listener, narrow_listener};

use crate::args::Limits;
use crate::debug::View;
use crate::hold::Places;
use crate::index::Index;
use crate::link::Beacon;
use crate::metrics::{Levels, Metrics};
use crate::path::tracing::Tracing;
use crate::path::{self, tunnel::Tunnels};
use crate::probe::Prober;
use crate::routes::Table;
use crate::server::Room;
use crate::wake::Waker;

/// Nothing in these tests takes longer.
const SOON: Duration = Duration::from_secs(30);
/// What happens at once takes less, at best; what waits for the waker's next look or for its patience takes 250 ms and more.
const AT_ONCE: Duration = Duration::from_millis(200);

/// An activator with nothing around it but what the test puts there.
pub(crate) struct World {
    pub(crate) index: Arc<Index>,
    pub(crate) beacon: Arc<Beacon>,
    pub(crate) address: SocketAddr,
    api: Handle<Request<Body>, Response<Body>>,
    registry: Registry,
    pub(crate) view: View,
    prober: Prober,
    pub(crate) stop: CancellationToken,
    pub(crate) cut: CancellationToken,
    version: u64,
}

/// A function `hello` in namespace `shop`, at zero, and nothing else.
pub(crate) async fn world() -> World {
    world_with(json!({}), Limits::default()).await
}

/// The same with other fields in its spec.
pub(crate) async fn world_with(spec: Value, limits: Limits) -> World {
    world_traced(spec, limits, Tracing::default()).await
}

/// The same with traces.
pub(crate) async fn world_traced(spec: Value, limits: Limits, tracing: Tracing) -> World {
    let (service, api) = mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "default");
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    let table = Arc::new(Table::new(domains));
    let beacon = Arc::new(Beacon::default());
    let index = Arc::new(Index::new(Arc::clone(&table), Arc::clone(&beacon)));
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let limits = Arc::new(limits);
    let (places, room) = (Places::new(&limits), Room::new(&limits, &metrics));
    Levels::register(&mut registry, &metrics, &index, &places, &room.callers);
    let view = View::new(&index, &table, &places, &room.callers);
    tokio::spawn(crate::pods::survey::run(Arc::clone(&index), Arc::clone(&metrics), cut.clone()));
    let parts = path::Parts {
        table,
        limits: Arc::clone(&limits),
        places,
        waker: Waker::new(client, Duration::from_secs(10), &metrics, &index, &beacon),
        beacon: Arc::clone(&beacon),
        tunnels: Tunnels::new(cut.clone(), &limits, &metrics),
        metrics: Arc::clone(&metrics),
        tracing,
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::server::serve(listener, path::build(&parts), room, stop.clone(), cut.clone()));
    let prober = Prober::new(Arc::clone(&beacon));
    let mut world = World { index, beacon, address, api, registry, view, prober, stop, cut, version: 0 };
    world.function("r1", spec);
    world.deployment("r1", 0);
    world
}

impl World {
    /// The Function, with this serving revision.
    pub(crate) fn function(&mut self, revision: &str, mut spec: Value) {
        spec["image"] = json!("i");
        let object = json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "shop", "name": "hello", "uid": "f-uid"},
            "spec": spec, "status": {"revision": revision},
        });
        let (_, probes) = self.index.function_applied(&serde_json::from_value(object).unwrap());
        self.index.publish();
        for probe in probes {
            self.prober.start(probe);
        }
    }

    /// Another function beside it, `other`, with this pod.
    pub(crate) fn neighbour(&self, pod: &TestPod) {
        let object = json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "shop", "name": "other", "uid": "o-uid"},
            "spec": {"image": "i"}, "status": {"revision": "o1"},
        });
        self.index.function_applied(&serde_json::from_value(object).unwrap());
        self.index.publish();
        self.see(json!({
            "metadata": {"namespace": "shop", "name": pod.uid, "uid": pod.uid, "creationTimestamp": "2026-01-01T00:00:00Z",
                "labels": {"rouse.dev/function": "other", "rouse.dev/revision": "o1", "rouse.dev/function-uid": "o-uid"}},
            "spec": {"nodeName": "n", "containers": [{"name": "function",
                "ports": [{"name": pod.port_name, "containerPort": pod.address.port()}]}]},
            "status": {"phase": "Running", "podIP": pod.address.ip().to_string()},
        }));
    }

    /// A Trigger that leads this host and the paths under `path` to the function.
    pub(crate) fn trigger(&self, host: &str, path: &str) {
        let object = json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Trigger", "metadata": {"namespace": "shop", "name": "hello"},
            "spec": {
                "functionRef": {"name": "hello"},
                "http": {"hosts": [host], "path": {"type": "Prefix", "value": path}},
            },
        });
        self.index.trigger_applied(&serde_json::from_value(object).unwrap());
        self.index.publish();
    }

    /// A revision's Deployment, as the watch shows it.
    pub(crate) fn deployment(&mut self, revision: &str, replicas: i32) {
        self.deployment_saying(revision, replicas, json!([]));
    }

    pub(crate) fn deployment_saying(&mut self, revision: &str, replicas: i32, conditions: Value) {
        self.deployment_object(revision, replicas, &json!({}), conditions);
    }

    /// The same with these annotations, and these conditions in its status.
    pub(crate) fn deployment_object(&mut self, revision: &str, replicas: i32, annotations: &Value, conditions: Value) {
        self.version += 10;
        let object = json!({
            "metadata": {
                "namespace": "shop", "name": revision, "resourceVersion": self.version.to_string(), "generation": 1,
                "labels": labels(revision), "annotations": annotations,
            },
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "conditions": conditions},
        });
        self.index.deployment_applied(&serde_json::from_value(object).unwrap());
    }

    /// A pod as the watch shows it, with these further fields of its status.
    pub(crate) fn pod_object(&self, pod: &TestPod, revision: &str, status: Value) {
        self.see(json!({
            "metadata": {"namespace": "shop", "name": pod.uid, "uid": pod.uid, "labels": labels(revision),
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "function",
                "ports": [{"name": pod.port_name, "containerPort": pod.address.port()}]}]},
            "status": status,
        }));
    }

    pub(crate) fn see(&self, object: Value) {
        if let Some(probe) = self.index.pod_applied(&serde_json::from_value(object).unwrap(), Instant::now()) {
            self.prober.start(probe);
        }
    }

    /// A pod of the revision has an IP.
    pub(crate) fn appear(&self, pod: &TestPod, revision: &str) {
        self.pod_object(pod, revision, json!({"phase": "Running", "podIP": pod.address.ip().to_string()}));
    }

    /// A pod is being deleted.
    pub(crate) fn delete(&self, pod: &TestPod, revision: &str) {
        self.see(json!({
            "metadata": {"namespace": "shop", "name": pod.uid, "uid": pod.uid, "labels": labels(revision),
                "deletionTimestamp": "2026-01-01T00:00:01Z"},
            "status": {"phase": "Running", "podIP": pod.address.ip().to_string()},
        }));
    }

    /// The next request to the API server wakes the revision to this number, and is taken.
    pub(crate) async fn expect_wake(&mut self, revision: &str, replicas: i32) {
        let wake = self.next_patch(revision, replicas).await;
        self.answer(wake, revision, replicas);
    }

    /// The same, answered with this.
    pub(crate) async fn expect_patch(&mut self, revision: &str, replicas: i32, status: u16, answer: Value) {
        let wake = self.next_patch(revision, replicas).await;
        let body = Body::from(answer.to_string().into_bytes());
        wake.send_response(Response::builder().status(status).body(body).unwrap());
    }

    /// The same, not answered yet.
    pub(crate) async fn next_patch(&mut self, revision: &str, replicas: i32) -> SendResponse<Response<Body>> {
        let (request, wake) = timeout(SOON, self.api.next_request()).await.expect("no wake came").unwrap();
        assert_eq!(request.method(), "PATCH");
        assert_eq!(request.uri().path(), format!("/apis/apps/v1/namespaces/shop/deployments/{revision}/scale"));
        assert_eq!(request.uri().query(), Some("&fieldManager=rouse-activator"));
        assert_eq!(request.headers()["content-type"], "application/merge-patch+json");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body, json!({"spec": {"replicas": replicas}}));
        wake
    }

    /// A wake was taken.
    pub(crate) fn answer(&mut self, wake: SendResponse<Response<Body>>, revision: &str, replicas: i32) {
        self.version += 10;
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"namespace": "shop", "name": revision, "resourceVersion": self.version.to_string()},
            "spec": {"replicas": replicas}});
        wake.send_response(Response::new(Body::from(scale.to_string().into_bytes())));
    }

    /// Nothing (more) is asked of the API server, for a while.
    pub(crate) async fn expect_silence(&mut self) {
        let asked = timeout(Duration::from_millis(150), self.api.next_request()).await;
        assert!(asked.is_err(), "the API server was asked for something: {:?}", asked.map(|r| r.map(|r| r.0)));
    }

    /// A request on a connection of its own.
    pub(crate) fn send(&self, request: Request<Full<Bytes>>) -> tokio::task::JoinHandle<Reply> {
        let address = self.address;
        tokio::spawn(async move { timeout(SOON, send(address, request)).await.expect("no answer in time") })
    }

    pub(crate) fn get(&self, path: &str) -> tokio::task::JoinHandle<Reply> {
        self.send(get(path))
    }

    /// Whether this line is among the metrics.
    pub(crate) fn says(&self, line: &str) -> bool {
        self.metrics().lines().any(|own| own == line)
    }

    /// What `/debug` answers.
    pub(crate) fn debug(&self, query: &str) -> Value {
        serde_json::from_str(&self.view.answer(query).unwrap()).unwrap()
    }

    /// What a scrape gets.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// How many requests are held.
    pub(crate) fn held(&self) -> usize {
        self.index.functions().iter().map(|function| function.gate.held()).sum()
    }

    /// Waits until that many requests are held.
    pub(crate) async fn until_held(&self, held: usize) {
        eventually(|| self.held() == held).await;
    }
}

pub(crate) fn labels(revision: &str) -> Value {
    json!({"rouse.dev/function": "hello", "rouse.dev/revision": revision, "rouse.dev/function-uid": "f-uid"})
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "hello.shop").body(Full::default()).unwrap()
}

pub(crate) fn post(path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(path).header("host", "hello.shop").body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn cold(&self) -> &str {
        self.headers["rouse-cold-start"].to_str().unwrap()
    }

    /// Seconds after which it may be asked again.
    pub(crate) fn after(&self) -> u64 {
        self.headers["retry-after"].to_str().unwrap().parse().unwrap()
    }

    pub(crate) fn problem(&self) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Reply { status: parts.status.as_u16(), headers: parts.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// Reads until what has come ends so.
pub(crate) async fn until_ends(stream: &mut TcpStream, end: &str) -> String {
    let mut seen: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 4096];
    while !seen.ends_with(end.as_bytes()) {
        let read = timeout(SOON, stream.read(&mut buffer)).await.expect("nothing more comes").unwrap();
        assert!(read > 0, "it is over behind {:?}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// The least that it takes of up to ten times, and no further one once it is less than that: a busy machine makes any single
/// one long, and not all of them. Attempts are numbered from 0 on.
pub(crate) async fn at_best(enough: Duration, mut attempt: impl AsyncFnMut(u64) -> Duration) -> Duration {
    let mut best = Duration::MAX;
    for number in 0..10 {
        best = best.min(attempt(number).await);
        if best < enough {
            break;
        }
    }
    best
}

/// Waits until it holds.
pub(crate) async fn eventually(holds: impl Fn() -> bool) {
    within(SOON, holds).await;
}

/// The same, with a limit of one's own.
pub(crate) async fn within(most: Duration, holds: impl Fn() -> bool) {
    let ends = Instant::now() + most;
    while !holds() {
        assert!(Instant::now() < ends, "it never came to hold");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
