//! A whole warm path in one process, for profilers: `cargo bench -p activator --bench warm -- serve PORT BACKEND` forwards
//! what comes for `hello.shop` to one pod at BACKEND (`ADDRESS:PORT`) until it is ended.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use activator::args::Limits;
use activator::hold::Places;
use activator::index::Index;
use activator::link::Beacon;
use activator::metrics::Metrics;
use activator::path::{self, tunnel::Tunnels};
use activator::probe::Prober;
use activator::routes::Table;
use activator::server::{Room, workers};
use activator::wake::Waker;
use crds::route::Domains;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().filter(|a| a != "--bench").collect();
    let [_, verb, port, backend] = &arguments[..] else { panic!("serve PORT BACKEND") };
    assert_eq!(verb, "serve");
    let (port, backend): (u16, SocketAddr) = (port.parse().unwrap(), backend.parse().unwrap());

    let api = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, std::io::Error>(Response::builder().status(503).body(Body::empty()).unwrap())
    });
    let client = Client::new(api, "default");
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    let table = Arc::new(Table::new(domains));
    let beacon = Arc::new(Beacon::default());
    let index = Arc::new(Index::new(Arc::clone(&table), Arc::clone(&beacon)));
    let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
    let limits = Arc::new(Limits::default());
    let path = path::build(&path::Parts {
        table,
        limits: Arc::clone(&limits),
        places: Places::new(&limits),
        waker: Waker::new(client, Duration::from_secs(10), &metrics, &index, &beacon),
        beacon: Arc::clone(&beacon),
        tunnels: Tunnels::new(cut.clone(), &limits, &metrics),
        metrics: Arc::clone(&metrics),
    });
    let workers = std::env::var("WORKERS").map_or_else(|_| workers::per_core(), |n| n.parse().unwrap());
    let serving = workers::start(port, workers, &path, &Room::new(&limits, &metrics), &stop, &cut).unwrap();
    let prober = Prober::new(Arc::clone(&beacon));
    let labels = json!({"rouse.dev/function": "hello", "rouse.dev/revision": "r1", "rouse.dev/function-uid": "f-uid"});
    index.function_applied(
        &serde_json::from_value(json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "shop", "name": "hello", "uid": "f-uid"},
            "spec": {"image": "i"}, "status": {"revision": "r1"},
        }))
        .unwrap(),
    );
    index.publish();
    index.deployment_applied(
        &serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "r1", "resourceVersion": "1", "generation": 1, "labels": labels},
            "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": {"observedGeneration": 1},
        }))
        .unwrap(),
    );
    let probe = index.pod_applied(
        &serde_json::from_value(json!({
            "metadata": {"namespace": "shop", "name": "p", "uid": "p", "labels": labels,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "function",
                "ports": [{"name": "http1", "containerPort": backend.port()}]}]},
            "status": {"phase": "Running", "podIP": backend.ip().to_string()},
        }))
        .unwrap(),
        Instant::now(),
    );
    prober.start(probe.expect("a pod to probe"));
    serving.wait().await;
}
