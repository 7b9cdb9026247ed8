//! One activator, as the leader hears it: it says which pods are ready, acknowledges every order at once, and counts no
//! request but the ones that a scenario makes. What it says goes straight to the leader's board: the stream that carries it
//! has tests of its own.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use crds::labels;
use link::{
    HEARTBEAT,
    v1::{Acknowledgement, FunctionCount, Hello, Orders, PodState, Report},
};
use operator::link::Board;
use serde_json::{Value, json};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    controllers::is_running,
    server::{Key, Part, Server, kind},
};

const NAME: &str = "rouse-activator-0";
/// Without an order it says less often that it lives than a real one: most of the time of all runs is spent on that.
const QUIET: Duration = Duration::from_millis(2500);
/// Between a change of a pod and the proof of it.
const PROBE: Duration = Duration::from_millis(10);

/// The activator. It outlives every process of the operator.
pub(crate) struct Activator {
    server: Arc<Server>,
    started: Instant,
    /// By UID of the Function: requests, and when the last one ended.
    requests: Mutex<BTreeMap<String, (u64, Instant)>>,
}

impl Activator {
    /// Starts, and is Ready.
    pub(crate) fn new(server: &Arc<Server>) -> Self {
        let key = Key::new(kind("pods").unwrap(), "rouse-system", NAME);
        let labels = json!({labels::APP_NAME: "rouse", labels::APP_COMPONENT: "activator"});
        let status = json!({"phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": []});
        let pod = json!({"metadata": {"labels": labels}, "spec": {}, "status": status});
        server.change(|state| state.store.create(&key, pod, "kubelet").unwrap());
        Self { server: Arc::clone(server), started: Instant::now(), requests: Mutex::default() }
    }

    /// A request to a function comes and is answered: at zero it wakes a revision first.
    pub(crate) fn request(&self, function: &str) {
        let uid = self.server.change(|state| {
            let key = Key::new(kind("functions").unwrap(), "shop", function);
            let function = state.store.get(&key).unwrap();
            let revision = function["status"]["revision"].as_str().unwrap();
            let deployment = Key::new(kind("deployments").unwrap(), "shop", revision);
            if state.store.get(&deployment).unwrap()["spec"]["replicas"] == 0 {
                let wake = json!({"spec": {"replicas": 1}});
                state.store.merge(&deployment, Part::Scale, "rouse-activator", &wake).unwrap();
            }
            uid(&function)
        });
        let mut requests = self.requests.lock().unwrap();
        let count = requests.get(&uid).map_or(0, |(count, _)| *count);
        requests.insert(uid, (count + 1, Instant::now()));
    }

    /// Reports to one leader for as long as this is not dropped.
    pub(crate) async fn report(self: Arc<Self>, board: Arc<Board>, mut orders: watch::Receiver<Arc<Orders>>) {
        let uid = self.server.see(|state| {
            let key = Key::new(kind("pods").unwrap(), "rouse-system", NAME);
            uid(&state.store.get(&key).unwrap())
        });
        let hello =
            Hello { boot_id: "boot".into(), pod_name: NAME.into(), pod_uid: uid.clone(), version: "test".into() };
        let mut told = BTreeSet::new();
        let first = Report { hello: Some(hello), ..self.account(1, &Orders::default(), &mut told) };
        let attachment = board.attach(&uid, first).expect("the first report is taken");
        let mut changes = self.server.changes();
        let (mut sequence, mut ordered, mut reported) = (1, Vec::new(), Instant::now());
        loop {
            let heartbeat = reported + if ordered.is_empty() { QUIET } else { HEARTBEAT };
            tokio::select! {
                () = sleep_until(heartbeat) => {}
                _ = changes.changed() => sleep(PROBE).await,
                // What is only renewed is acknowledged with the next heartbeat.
                _ = orders.changed() => if orders.borrow_and_update().drains == ordered { continue },
            }
            let now = Arc::clone(&orders.borrow_and_update());
            ordered.clone_from(&now.drains);
            reported = Instant::now();
            sequence += 1;
            let report = self.account(sequence, &now, &mut told);
            attachment.report(report).expect("a report is taken");
        }
    }

    fn account(&self, sequence: u64, orders: &Orders, told: &mut BTreeSet<(String, String, String)>) -> Report {
        let label = |pod: &Value, label: &str| pod["metadata"]["labels"][label].as_str().unwrap_or_default().to_owned();
        let ready: BTreeSet<(String, String, String)> = self.server.see(|state| {
            let pods =
                state.store.all("pods").into_iter().filter(|(key, pod)| key.namespace == "shop" && is_running(pod));
            let named =
                pods.map(|(_, pod)| (uid(&pod), label(&pod, labels::FUNCTION_UID), label(&pod, labels::REVISION)));
            named.filter(|(_, function, _)| !function.is_empty()).collect()
        });
        let state = |(uid, function_uid, revision): &(String, String, String), gone: bool| PodState {
            uid: uid.clone(),
            function_uid: function_uid.clone(),
            revision: revision.clone(),
            ready: !gone,
            gone,
            ..PodState::default()
        };
        let gone = told.difference(&ready).map(|pod| state(pod, true));
        let news = ready.difference(told).map(|pod| state(pod, false));
        let pods = gone.chain(news).collect();
        *told = ready;
        let requests = self.requests.lock().unwrap();
        let count = |(uid, (requests, since)): (&String, &(u64, Instant))| FunctionCount {
            uid: uid.clone(),
            requests: *requests,
            idle_ms: milliseconds(since.elapsed()),
            ..FunctionCount::default()
        };
        let ack = |drain: &link::v1::Drain| Acknowledgement {
            epoch: orders.epoch,
            function_uid: drain.function_uid.clone(),
            order: drain.order,
            issued_ms: orders.issued_ms,
            requests: requests.get(&drain.function_uid).map_or(0, |(count, _)| *count),
            ..Acknowledgement::default()
        };
        Report {
            sequence,
            clock_ms: milliseconds(self.started.elapsed()),
            functions: requests.iter().map(count).collect(),
            pods,
            acknowledgements: orders.drains.iter().map(ack).collect(),
            ..Report::default()
        }
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
