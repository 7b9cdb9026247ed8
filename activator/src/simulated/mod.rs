//! The activator in a network of hosts that is cut, and beside an API server that loses watches and answers: time and network
//! are simulated, the activator's parts are real (see [`activator`] for the one that is not).
//!
//! Every story is told with several seeds of the network's delays; a failure names its seed.

mod activator;
mod callers;
mod cluster;
mod lost_answers;
mod lost_pods;
mod lost_watches;
mod pods;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use serde_json::json;
use turmoil::{Builder, Sim};

use crate::clock;
use crate::server::Peer;
use activator::Shared;
use callers::Callers;
use cluster::Cluster;
use pods::Asked;

const ACTIVATOR: &str = "activator";
const API: &str = "api";
/// The longest wait of a request to `cold`.
const PATIENT: Duration = Duration::from_secs(150);
/// The same of one to `brief`.
const BRIEF: Duration = Duration::from_secs(10);
/// By then a watch has been given up on which nothing comes, and another one begun.
const WATCHED_AGAIN: Duration = Duration::from_secs(90 + 20);
/// Longest time from one request for traffic's sake to the next.
const PAUSE: Duration = Duration::from_millis(500);
/// Which the network and a probe add at most to anything.
const SLACK: Duration = Duration::from_secs(1);
/// Pods that there may be, each with a host of its own.
const PODS: [&str; 4] = ["a", "b", "c", "w"];

/// Three functions: `warm` has the pod `w`, `cold` and `brief` are at zero.
struct Net {
    sim: Sim<'static>,
    shared: Shared,
    cluster: Cluster,
    callers: Callers,
    asked: Asked,
    h2c: bool,
    /// Requests that were sent to `warm`.
    traffic: usize,
    /// Has the socket that stands for the callers' ones.
    _kernel: tokio::runtime::Runtime,
}

/// Tells a story with these many seeds.
fn seeds(most: u64, h2c: bool, story: impl Fn(Net)) {
    for seed in 1..=most {
        let told = catch_unwind(AssertUnwindSafe(|| story(Net::new(seed, h2c))));
        if let Err(panic) = told {
            eprintln!("seed {seed}");
            resume_unwind(panic);
        }
    }
}

impl Net {
    fn new(seed: u64, h2c: bool) -> Self {
        // The clock begins outside of every simulation: the others of this process begin later.
        clock::now();
        let kernel = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let shared = Shared::new(kernel.block_on(Peer::test()));
        let mut sim = Builder::new()
            .simulation_duration(Duration::from_secs(3600))
            .tick_duration(Duration::from_millis(10))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(20))
            .rng_seed(seed)
            .build();
        let cluster = Cluster::host(&mut sim, API);
        let asked = Asked::default();
        for pod in PODS {
            pods::host(&mut sim, pod, h2c, &asked);
        }
        let host = shared.clone();
        sim.host(ACTIVATOR, move || activator::run(host.clone(), API));
        let callers = Callers::host(&mut sim, "callers", ACTIVATOR);
        let mut net = Self { sim, shared, cluster, callers, asked, h2c, traffic: 0, _kernel: kernel };
        for (function, cold_start) in [("warm", BRIEF), ("cold", PATIENT), ("brief", BRIEF)] {
            net.function(function, cold_start);
        }
        net.pod("w", "warm");
        net.until(SLACK, |net| net.ready("w"));
        // Every watch stands.
        net.pass(SLACK);
        net
    }

    /// A function and its Deployment at zero.
    fn function(&self, name: &str, cold_start: Duration) {
        let timeouts = json!({"coldStartSeconds": cold_start.as_secs(), "requestSeconds": 60});
        let spec = json!({"image": "i", "timeouts": timeouts});
        let metadata = json!({"namespace": "shop", "name": name, "uid": name});
        self.cluster.put("functions", json!({"metadata": metadata, "spec": spec, "status": {"revision": name}}));
        let metadata = json!({"namespace": "shop", "name": name, "uid": name, "labels": labels(name)});
        let spec = json!({"replicas": 0, "selector": {}, "template": {}});
        self.cluster.put("deployments", json!({"metadata": metadata, "spec": spec}));
    }

    /// The pod of this host is the function's, and runs.
    fn pod(&self, name: &str, function: &str) {
        let address = self.sim.lookup(name).to_string();
        let metadata = json!({"namespace": "shop", "name": name, "uid": name, "labels": labels(function)});
        let port = json!({"name": if self.h2c { "h2c" } else { "http1" }, "containerPort": pods::PORT});
        let spec = json!({"nodeName": "n", "containers": [{"name": "function", "ports": [port]}]});
        let status = json!({"phase": "Running", "podIP": address});
        self.cluster.put("pods", json!({"metadata": metadata, "spec": spec, "status": status}));
    }

    /// Whether the activator has found the pod ready.
    fn ready(&self, name: &str) -> bool {
        self.shared.index.pods().iter().any(|pod| *pod.uid == *name && pod.is_ready())
    }

    /// Pods that the activator knows.
    fn known(&self) -> HashSet<String> {
        self.shared.index.pods().iter().map(|pod| pod.uid.to_string()).collect()
    }

    fn held(&self) -> usize {
        self.shared.places.used().requests
    }

    /// How often the pods were asked for this.
    fn times(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(_, asked)| asked == what).count()
    }

    fn pass(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.sim.step().unwrap();
        }
    }

    /// Time passes, and `warm` is asked for something all the while.
    fn pass_with_traffic(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.callers.ask("GET", "warm", "/");
            self.traffic += 1;
            self.pass(PAUSE);
        }
    }

    #[track_caller]
    fn until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) {
        let end = self.sim.elapsed() + most;
        while !holds(self) {
            assert!(self.sim.elapsed() <= end, "not within {most:?}");
            self.sim.step().unwrap();
        }
    }

    /// The function has answered so many requests.
    #[track_caller]
    fn until_answered(&mut self, most: Duration, function: &'static str, count: usize) {
        self.until(most, |net| net.callers.replies(function).len() == count);
    }

    /// No request to `warm` had anything but an answer.
    #[track_caller]
    fn assert_traffic(&mut self) {
        let sent = self.traffic;
        self.until_answered(SLACK, "warm", sent);
        let statuses = self.callers.statuses("warm");
        assert!(statuses.iter().all(|status| *status == Some(200)), "{statuses:?}");
    }
}

fn labels(function: &str) -> serde_json::Value {
    json!({"rouse.dev/function": function, "rouse.dev/revision": function, "rouse.dev/function-uid": function})
}
