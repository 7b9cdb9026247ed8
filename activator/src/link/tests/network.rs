//! The link's end at the activator over a network that is cut, against a leader that does what the test says: TCP, TLS, gRPC
//! and the loop that keeps a stream are real, the network and the time are simulated.

mod leader;

use std::time::Duration;

use link::v1::{Drain, Orders, Report};
use link::{HEARTBEAT, ORDER_VALID};
use serde_json::json;
use tokio::sync::watch;
use turmoil::{Builder, Sim};

use super::{Arc, Beacon, Identity, Index, Instant, Leader, identity, index};
use crate::clock;
use crate::link::dial::Dial;
use crate::link::keep;
use leader::Scripted;

const ACTIVATOR: &str = "activator";
const OLD: &str = "old";
const NEW: &str = "new";
/// Which the network adds at most to anything.
const SLACK: Duration = Duration::from_millis(300);
/// A leader that takes nothing is given up after two of the client's keep-alive times.
const GIVEN_UP: Duration = Duration::from_secs(4);
/// Longest way back: an attempt that began before there was anybody to answer, the longest pause, and the attempt that works.
const BACK: Duration = Duration::from_secs(6);

/// Connects over the simulated network.
#[derive(Clone)]
struct Simulated;

impl Dial for Simulated {
    type Stream = turmoil::net::TcpStream;

    async fn dial(&self, address: std::net::SocketAddr) -> std::io::Result<Self::Stream> {
        turmoil::net::TcpStream::connect(address).await
    }
}

struct Net {
    sim: Sim<'static>,
    index: Arc<Index>,
    beacon: Arc<Beacon>,
    lease: watch::Sender<Option<Leader>>,
    old: Scripted,
    new: Scripted,
}

impl Net {
    /// An activator of the function `f` with the pods `a` and `b`, and two leaders, of which the Lease names the old one.
    fn new(name: &str) -> Self {
        // The clock begins outside of every simulation: the others of this process begin later.
        clock::now();
        let mut sim = Builder::new()
            .simulation_duration(Duration::from_secs(600))
            .tick_duration(Duration::from_millis(5))
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(20))
            .rng_seed(1)
            .build();
        let (old, new) = (Scripted::host(&mut sim, OLD), Scripted::host(&mut sim, NEW));
        let (lease, leaders) = watch::channel(Some(old.leader.clone()));
        let (index, beacon) = index();
        let object = json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "shop", "name": "hello", "uid": "f"},
            "spec": {"image": "i"}, "status": {"revision": "r1"}});
        index.function_applied(&serde_json::from_value(object).unwrap());
        let host = (identity(name, "secret"), Arc::clone(&index), Arc::clone(&beacon));
        sim.host(ACTIVATOR, move || {
            let ((identity, index, beacon), leaders) = (host.clone(), leaders.clone());
            async move {
                run(leaders, identity, index, beacon).await;
                Ok(())
            }
        });
        let mut net = Self { sim, index, beacon, lease, old, new };
        net.pod("a");
        net.pod("b");
        net
    }

    fn pod(&mut self, uid: &str) {
        let labels = json!({"rouse.dev/function": "hello", "rouse.dev/revision": "r1", "rouse.dev/function-uid": "f"});
        let pod = json!({"metadata": {"namespace": "shop", "name": uid, "uid": uid, "labels": labels}});
        self.index.pod_applied(&serde_json::from_value(pod).unwrap(), Instant::now());
    }

    fn is_drained(&self, uid: &str) -> bool {
        self.index.pods().iter().any(|pod| *pod.uid == *uid && pod.slots.read().drained)
    }

    fn pass(&mut self, time: Duration) {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.sim.step().unwrap();
        }
    }

    /// How long it took until then.
    fn until(&mut self, most: Duration, holds: impl Fn(&Self) -> bool) -> Duration {
        let start = self.sim.elapsed();
        while !holds(self) {
            assert!(self.sim.elapsed() <= start + most, "not within {most:?}");
            self.sim.step().unwrap();
        }
        self.sim.elapsed() - start
    }

    fn cut(&self) {
        self.sim.partition(ACTIVATOR, OLD);
    }
}

async fn run(leaders: watch::Receiver<Option<Leader>>, identity: Identity, index: Arc<Index>, beacon: Arc<Beacon>) {
    keep(&Simulated, leaders, &identity, &index, &beacon).await;
}

fn orders(epoch: u64, order: u64, pods: &[&str], issued_ms: u64) -> Orders {
    let valid_ms = u32::try_from(ORDER_VALID.as_millis()).unwrap();
    let pod_uids = pods.iter().map(|uid| (*uid).to_owned()).collect();
    let drains = vec![Drain { function_uid: "f".into(), order, pod_uids, valid_ms }];
    Orders { epoch, drains, failures: vec![], issued_ms }
}

/// Epoch, order and time of issue of each acknowledgement.
fn acks(reports: &[Report]) -> Vec<(u64, u64, u64)> {
    let all = reports.iter().flat_map(|report| &report.acknowledgements);
    all.map(|ack| (ack.epoch, ack.order, ack.issued_ms)).collect()
}

fn pods(report: &Report) -> Vec<(&str, bool)> {
    let mut pods: Vec<_> = report.pods.iter().map(|pod| (pod.uid.as_str(), pod.drained)).collect();
    pods.sort_unstable();
    pods
}

#[test]
fn a_cut_in_the_middle_of_a_drain_gives_the_pods_back_and_the_next_stream_is_a_full_account() {
    let mut net = Net::new("cut");
    net.until(BACK, |net| net.beacon.attached());
    net.pass(HEARTBEAT);
    net.old.send(orders(1, 1, &["a", "late"], 100));
    net.until(SLACK, |net| net.is_drained("a"));
    // It is in the order, and is seen only now.
    net.pod("late");
    assert!(net.is_drained("late") && !net.is_drained("b"));
    net.pass(HEARTBEAT);
    assert_eq!(acks(&net.old.news()).last(), Some(&(1, 1, 100)));
    net.old.send(orders(1, 1, &["a", "late"], 1100));
    net.until(SLACK, |net| acks(&net.old.heard()).last() == Some(&(1, 1, 1100)));
    let function = Arc::clone(&net.index.functions()[0]);
    function.totals.begin(clock::now());
    net.pass(HEARTBEAT + SLACK);
    net.old.news();

    net.cut();
    // Nothing new goes to them until the order has run out, and then at once.
    let since_renewal = HEARTBEAT + SLACK;
    net.pass(ORDER_VALID - since_renewal - 2 * SLACK);
    assert!(net.is_drained("a") && net.is_drained("late"));
    net.until(3 * SLACK, |net| !net.is_drained("a") && !net.is_drained("late"));
    function.totals.begin(clock::now());
    net.pass(Duration::from_secs(10));
    assert!(!net.beacon.attached(), "a leader that does not answer is no leader");
    assert_eq!(net.old.news().len(), 0);

    net.sim.repair(ACTIVATOR, OLD);
    net.until(BACK, |net| net.beacon.attached());
    net.until(SLACK, |net| !net.old.heard().is_empty());
    let first = net.old.heard().remove(0);
    assert_eq!((first.sequence, first.hello.as_ref().unwrap().boot_id.as_str()), (1, "boot"));
    assert_eq!(pods(&first), [("a", false), ("b", false), ("late", false)], "all of them, changed or not");
    assert_eq!((first.functions[0].requests, first.functions[0].in_flight), (2, 2), "from the start of the process");
    assert!(first.acknowledgements.is_empty(), "an order that has run out is acknowledged no more");
}

#[test]
fn a_leader_of_old_is_obeyed_no_more_and_the_new_one_hears_of_its_own_orders_only() {
    let mut net = Net::new("epochs");
    net.until(BACK, |net| net.beacon.attached());
    net.old.send(orders(1, 7, &["a"], 100));
    net.until(SLACK, |net| acks(&net.old.heard()).contains(&(1, 7, 100)));

    net.lease.send_replace(Some(net.new.leader.clone()));
    net.until(BACK, |net| net.new.streams() == 1);
    net.new.send(orders(2, 7, &["b"], 50));
    net.until(SLACK, |net| net.is_drained("b") && !net.is_drained("a"));
    net.new.news();
    net.pass(3 * HEARTBEAT);
    let said = acks(&net.new.news());
    assert!(said.len() >= 3 && said.iter().all(|ack| *ack == (2, 7, 50)), "{said:?}");

    // The Lease was read late, or the leader of old does not know yet.
    net.old.news();
    net.lease.send_replace(Some(net.old.leader.clone()));
    net.until(BACK, |net| net.old.streams() == 2);
    net.old.send(orders(1, 8, &["a"], 9_000));
    net.old.send(Orders { epoch: 1, ..Orders::default() });
    net.pass(SLACK);
    assert!(!net.is_drained("a"), "its order is nothing");
    assert!(net.is_drained("b"), "and that it has none is nothing either");
    let said = acks(&net.old.news());
    assert!(!said.is_empty() && said.iter().all(|ack| *ack == (2, 7, 50)), "{said:?}");
    net.pass(ORDER_VALID);
    assert!(!net.is_drained("b"), "nobody renewed it");
}

#[test]
fn a_leader_that_takes_no_bytes_is_given_up_and_another_try_made_until_it_does() {
    let mut net = Net::new("frozen");
    net.until(BACK, |net| net.beacon.attached());
    net.old.send(orders(1, 1, &["a"], 100));
    net.until(SLACK, |net| net.is_drained("a"));
    net.old.freeze(true);
    let held = net.until(GIVEN_UP + SLACK, |net| !net.beacon.attached());
    assert!(held > Duration::from_secs(1), "one lost heartbeat is no reason: {held:?}");
    net.until(ORDER_VALID, |net| !net.is_drained("a"));
    net.pass(Duration::from_secs(20));
    assert!(!net.beacon.attached());
    net.old.freeze(false);
    net.until(BACK, |net| net.beacon.attached());
}

#[test]
fn an_order_is_answered_once() {
    let mut net = Net::new("once");
    net.until(BACK, |net| net.beacon.attached());
    net.pass(3 * HEARTBEAT);
    for issued in 1..=5 {
        net.old.send(orders(1, 1, &["a"], issued));
        net.pass(HEARTBEAT - 2 * SLACK);
        let answers = acks(&net.old.news());
        assert_eq!(answers.iter().filter(|(_, _, echoed)| *echoed == issued).count(), 1, "{answers:?}");
        net.pass(2 * SLACK);
    }
}
