//! The activator's whole data path in this process, in front of one ready pod of a function `hello` in namespace `shop`.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use activator::args::Limits;
use activator::hold::Places;
use activator::index::Index;
use activator::link::Beacon;
use activator::metrics::Metrics;
use activator::path::tracing::Tracing;
use activator::path::{self, tunnel::Tunnels};
use activator::probe::Prober;
use activator::routes::Table;
use activator::server::{self, Room};
use activator::wake::Waker;
use anyhow::{Context, Result};
use crds::route::Domains;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// A pod takes no longer to be proved ready.
const SOON: Duration = Duration::from_secs(30);
/// Who has heard nothing for so long hears nothing more: what it has sent has no end.
const QUIET: Duration = Duration::from_secs(5);

/// The activator.
pub(crate) struct Activator {
    address: SocketAddr,
    index: Arc<Index>,
    stop: CancellationToken,
    cut: CancellationToken,
    serving: JoinHandle<()>,
}

/// What a caller gets for its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// The status of each answer but preliminary ones.
    pub(crate) statuses: Vec<u16>,
    /// The connection was still open, and nothing came.
    pub(crate) waits: bool,
}

impl Activator {
    /// Starts it; its pod must be served meanwhile.
    pub(crate) async fn start(pod: SocketAddr) -> Result<Self> {
        // Nothing is asked of an API server: the pod is there.
        let nobody = tower::service_fn(|_: Request<Body>| pending::<Result<Response<Body>, std::io::Error>>());
        let client = Client::new(nobody, "default");
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let table = Arc::new(Table::new(Domains { external: "localhost".into(), cluster: "cluster.local".into() }));
        let beacon = Arc::new(Beacon::default());
        let index = Arc::new(Index::new(Arc::clone(&table), Arc::clone(&beacon)));
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let limits = Arc::new(Limits::default());
        let parts = path::Parts {
            table,
            limits: Arc::clone(&limits),
            places: Places::new(&limits),
            waker: Waker::new(client, SOON, &metrics, &index, &beacon),
            beacon: Arc::clone(&beacon),
            tunnels: Tunnels::new(cut.clone(), &limits, &metrics),
            metrics: Arc::clone(&metrics),
            tracing: Tracing::default(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(server::serve(
            listener,
            path::build(&parts),
            Room::new(&limits, &metrics),
            stop.clone(),
            cut.clone(),
        ));
        fill(&index, &Prober::new(beacon), pod)?;
        let ends = Instant::now() + SOON;
        while !index.pods().iter().all(|pod| pod.is_ready()) {
            anyhow::ensure!(Instant::now() < ends, "the pod is not proved ready");
            sleep(Duration::from_millis(1)).await;
        }
        Ok(Self { address, index, stop, cut, serving })
    }

    /// Sends bytes on one connection, and hears the answers to their end.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Result<Answers> {
        let mut caller = TcpStream::connect(self.address).await?;
        // A connection that was closed because of the first part takes no second.
        let _ = caller.write_all(bytes).await;
        let (mut answers, mut buffer) = (Vec::new(), [0; 4096]);
        let waits = loop {
            match timeout(QUIET, caller.read(&mut buffer)).await {
                Ok(Ok(read @ 1..)) => answers.extend_from_slice(&buffer[..read]),
                Ok(_) => break false,
                Err(_) => break true,
            }
        };
        // No body here says this.
        let answers = String::from_utf8_lossy(&answers).into_owned();
        let statuses = answers.split("HTTP/1.").skip(1).filter_map(|line| line.get(2..5)?.parse().ok());
        Ok(Answers { statuses: statuses.filter(|status| *status >= 200).collect(), waits })
    }

    /// Breaks off what is left on callers' connections, and lets go of those to the pod.
    pub(crate) async fn end(self) -> Result<()> {
        self.stop.cancel();
        self.cut.cancel();
        self.serving.await?;
        for pod in self.index.pods() {
            pod.leave();
        }
        Ok(())
    }
}

/// As the watches show the function, its revision's Deployment and its pod.
fn fill(index: &Index, prober: &Prober, pod: SocketAddr) -> Result<()> {
    let labels = json!({"rouse.dev/function": "hello", "rouse.dev/revision": "r1", "rouse.dev/function-uid": "f-uid"});
    index.function_applied(&parse(json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
        "metadata": {"namespace": "shop", "name": "hello", "uid": "f-uid"},
        "spec": {"image": "i"}, "status": {"revision": "r1"},
    }))?);
    index.publish();
    index.deployment_applied(&parse(json!({
        "metadata": {"namespace": "shop", "name": "r1", "resourceVersion": "1", "generation": 1, "labels": labels},
        "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": {"observedGeneration": 1},
    }))?);
    let probe = index.pod_applied(
        &parse(json!({
            "metadata": {"namespace": "shop", "name": "a", "uid": "a", "labels": labels,
                "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"nodeName": "n", "containers": [{"name": "function",
                "ports": [{"name": "http1", "containerPort": pod.port()}]}]},
            "status": {"phase": "Running", "podIP": pod.ip().to_string()},
        }))?,
        Instant::now(),
    );
    prober.start(probe.context("the pod is not to be probed")?);
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(object: Value) -> Result<T> {
    Ok(serde_json::from_value(object)?)
}
