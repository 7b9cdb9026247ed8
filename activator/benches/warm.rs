//! One warm request through the whole path, on one worker.
//!
//! `cargo bench -p activator --bench warm`: how many instructions it takes outside the kernel, counted by callgrind
//! (Debian's `valgrind`), which does not depend on what else the machine does.
//!
//! `cargo bench -p activator --bench warm -- serve PORT BACKEND`: forwards what comes for `hello.shop` to one pod at BACKEND
//! (`ADDRESS:PORT`) until it is ended, for a load generator and a profiler.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
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

/// Requests of the shorter and of the longer run; what they differ by is without start and end.
const RUNS: [u32; 2] = [500, 2500];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match &arguments[..] {
        [verb, port, backend] if verb == "serve" => serve(port.parse().unwrap(), backend.parse().unwrap()),
        [] => count(),
        _ => panic!("nothing, or: serve PORT BACKEND"),
    }
}

/// Prints the instructions of one request.
fn count() {
    let backend = pod();
    let [short, long] = RUNS.map(|requests| instructions(backend, requests));
    println!("{} instructions a request", (long - short) / u64::from(RUNS[1] - RUNS[0]));
}

/// A pod: whatever it is asked, it says the same.
fn pod() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                while until_blank_line(&mut stream) {
                    let answer =
                        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nhello, world\n";
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    address
}

/// Reads one head. Whether there was one.
fn until_blank_line(stream: &mut TcpStream) -> bool {
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(read) => seen.extend_from_slice(&piece[..read]),
        }
    }
    true
}

/// Instructions of a process that serves so many requests, one at a time.
fn instructions(backend: SocketAddr, requests: u32) -> u64 {
    let folder = std::env::temp_dir().join(format!("rouse-warm-{}-{requests}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let counts = folder.join("callgrind.out");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut served = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", counts.display())])
        .arg(std::env::current_exe().unwrap())
        .args(["serve", &port.to_string(), &backend.to_string()])
        .stderr(Stdio::null())
        .spawn()
        .expect("valgrind is not installed: apt-get install valgrind");
    let mut caller = connect(port, &mut served);
    let request = b"GET / HTTP/1.1\r\nhost: hello.shop\r\nuser-agent: warm\r\naccept: */*\r\n\r\n";
    let mut answer = [0; 4096];
    let mut answered = 0;
    while answered < requests {
        caller.write_all(request).unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"hello, world\n") && !seen.ends_with(b"}") {
            let read = caller.read(&mut answer).unwrap();
            assert!(read > 0, "the connection was closed");
            seen.extend_from_slice(&answer[..read]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&seen));
        answered += 1;
    }
    // SIGTERM, by valgrind's child's own id: it writes its counts and ends.
    let ended = Command::new("kill").arg(served.id().to_string()).status().unwrap();
    assert!(ended.success());
    served.wait().unwrap();
    let text = std::fs::read_to_string(&counts).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals:").or(line.strip_prefix("summary:")));
    total.expect("no total in callgrind's file").trim().parse().unwrap()
}

/// Waits until it listens.
fn connect(port: u16, served: &mut Child) -> TcpStream {
    for _ in 0..600 {
        if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) {
            // The pod is probed in this time too.
            thread::sleep(Duration::from_secs(1));
            return stream;
        }
        assert!(served.try_wait().unwrap().is_none(), "valgrind ended early");
        thread::sleep(Duration::from_millis(100));
    }
    panic!("it does not listen");
}

/// Serves until the process is ended.
#[tokio::main(worker_threads = 1)]
async fn serve(port: u16, backend: SocketAddr) {
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
        tracing: Tracing::default(),
    });
    let serving = workers::start(port, NonZeroUsize::MIN, &path, &Room::new(&limits, &metrics), &stop, &cut).unwrap();
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
