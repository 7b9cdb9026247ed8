//! Scaling as a whole: the scaler, the link and activators that speak the real protocol over real TLS, against an API
//! server in memory, with the clock stopped.

mod boost;
pub(crate) mod cluster;
mod names;
mod sizes;
mod term;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use crds::{Reason, labels};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;
use link::{ORDER_VALID, v1::Orders};
use runtime::failure::Failure;
use serde_json::json;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{Context, Handle, Metrics, Settings, ledger::Ledger, scaler::Scaler};
use crate::{
    boost::Refusals,
    events::Events,
    failure::{Terms, Verdict, Verdicts},
    leadership::{Leadership, Term},
    link::{
        Board,
        tests::{
            Server,
            fake::{Fake, attach, hello},
        },
    },
    stores::Key,
};
use cluster::{deployment, function, pod};

pub(crate) use cluster::Cluster;

const EPOCH: u64 = 7;
/// The time of day at which each test begins.
const BEGIN: &str = "2026-11-21T07:59:00Z";

/// A leader with a cluster, its scaler running.
struct World {
    cluster: Cluster,
    cx: Arc<Context>,
    server: Server,
    term: watch::Sender<Option<Term>>,
    scaler: JoinHandle<()>,
    write_events: Option<BoxFuture<'static, ()>>,
}

/// The context of a process, its term, and the writing of its Events.
fn context(cluster: &Cluster) -> (Arc<Context>, watch::Sender<Option<Term>>, BoxFuture<'static, ()>) {
    let valid_until = Instant::now() + Duration::from_secs(1_000_000);
    let (term, terms) = watch::channel(Some(Term { epoch: EPOCH, valid_until }));
    let (cx, write_events) = context_in(cluster, terms);
    (cx, term, write_events)
}

/// The parts of a replica of the operator that leads in these terms, and the writing of its Events.
pub(crate) fn context_in(
    cluster: &Cluster,
    terms: watch::Receiver<Option<Term>>,
) -> (Arc<Context>, BoxFuture<'static, ()>) {
    let (begin, started) = (BEGIN.parse::<Timestamp>().unwrap(), Instant::now());
    let client = cluster.client();
    let leadership = Leadership::fixed(terms);
    let (events, write) = Events::new(client.clone(), "operator-0", leadership.clone(), Default::default());
    let settings = Settings {
        namespace: "rouse-system".to_owned(),
        pod_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        link_port: 0,
        activator_service_account: "rouse-activator".to_owned(),
    };
    let cx = Context {
        client,
        settings,
        stores: cluster.stores.clone(),
        verdicts: Verdicts::default(),
        refusals: Refusals::default(),
        events,
        leadership,
        handle: Handle::default(),
        metrics: Metrics::default(),
        wall: Box::new(move || begin + started.elapsed()),
    };
    (Arc::new(cx), write.boxed())
}

impl World {
    /// Function `f` with revision `f-1` at one replica, whose pod is `p`.
    fn new() -> Self {
        let cluster = Cluster::new();
        cluster.function(function("f-1"));
        cluster.deployment(deployment("f-1", 1));
        cluster.pod(pod("p", "f-1"));
        Self::with(cluster)
    }

    fn with(cluster: Cluster) -> Self {
        let (cx, term, write_events) = context(&cluster);
        let board = Arc::new(Board::new(cx.metrics.link.clone()));
        let (ledger, orders) = Ledger::new(EPOCH, Instant::now().into_std());
        let server = Server::start(&cluster, Arc::clone(&board), orders);
        let scaler = tokio::spawn(Scaler::new(Arc::clone(&cx), EPOCH, board, ledger).run());
        Self { cluster, cx, server, term, scaler, write_events: Some(write_events) }
    }

    /// Writes Events from now on. In most tests they only wait.
    fn write_events(&mut self) {
        self.write_events.take().map(tokio::spawn);
    }

    async fn activator(&self, name: &str) -> Fake {
        self.cluster.activator(name);
        Fake::start(self.server.connect().await, name).await
    }

    /// Waits until the API server has been asked so; gives what it was asked before.
    async fn until(&self, line: &str) -> Vec<String> {
        let mut all = Vec::new();
        for _ in 0..6000 {
            all.extend(self.cluster.news());
            if let Some(at) = all.iter().position(|asked| asked == line) {
                return all.drain(..at).filter(|asked| asked != "review").collect();
            }
            sleep(Duration::from_millis(10)).await;
        }
        panic!("{line}: not asked within a minute; only {all:?}");
    }

    /// Lets `seconds` pass and gives what the API server was asked meanwhile, TokenReviews left out.
    async fn wait(&self, seconds: u64) -> Vec<String> {
        sleep(Duration::from_secs(seconds)).await;
        self.cluster.news().into_iter().filter(|asked| asked != "review").collect()
    }
}

fn drained(messages: &[Orders]) -> Vec<&str> {
    let drains = messages.last().into_iter().flat_map(|orders| &orders.drains);
    drains.flat_map(|drain| drain.pod_uids.iter().map(String::as_str)).collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_function_goes_to_zero_after_its_window_and_not_before() {
    let world = World::new();
    let (a, b) = (world.activator("a").await, world.activator("b").await);
    a.load(|load| load.requests = 1).await;
    // Both started with the test; the window is 10 s.
    assert_eq!(world.wait(9).await, Vec::<String>::new());
    assert!(drained(&a.news()).is_empty());
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"], "read after the acknowledgements, then written once");
    assert_eq!(drained(&a.news()), ["p"]);
    assert_eq!(drained(&b.news()), ["p"]);
    // The order is kept while the pod is there, renewed each second.
    world.cluster.sync();
    assert_eq!(world.wait(10).await, Vec::<String>::new());
    let renewed = a.news();
    assert!((9..=12).contains(&renewed.len()), "{}", renewed.len());
    assert!(renewed.iter().all(|orders| drained(std::slice::from_ref(orders)) == ["p"] && orders.epoch == EPOCH));
    assert!(Duration::from_millis(renewed[0].drains[0].valid_ms.into()) == ORDER_VALID);
    world.cluster.remove_pods();
    sleep(Duration::from_secs(2)).await;
    assert!(drained(&a.news()).is_empty(), "released by leaving it out");
}

#[tokio::test(start_paused = true)]
async fn a_request_every_0_8_windows_keeps_it_alive() {
    let world = World::new();
    let (a, b) = (world.activator("a").await, world.activator("b").await);
    for turn in 0..10 {
        let turns = [&a, &b];
        let activator = turns[turn % 2];
        activator.load(|load| (load.in_flight, load.idle_since) = (1, None)).await;
        sleep(Duration::from_millis(20)).await;
        activator
            .load(|load| {
                (load.in_flight, load.requests, load.idle_since) = (0, load.requests + 1, Some(Instant::now()))
            })
            .await;
        assert_eq!(world.wait(8).await, Vec::<String>::new(), "turn {turn}");
    }
    world.until("scale f-1 to 0").await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_held_while_pods_are_drained_gets_them_back_within_milliseconds() {
    let world = World::new();
    let (a, b) = (world.activator("a").await, world.activator("b").await);
    b.load(|load| load.deaf = true).await;
    sleep(Duration::from_millis(10_500)).await;
    assert_eq!(drained(&a.news()), ["p"], "drained, and b has not acknowledged");
    a.load(|load| (load.held, load.requests, load.idle_since) = (1, 1, None)).await;
    sleep(Duration::from_millis(5)).await;
    let news = a.news();
    assert!(!news.is_empty() && drained(&news).is_empty(), "given back");
    assert_eq!(world.cluster.replicas("f-1"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_silent_activator_is_unknown_and_nothing_is_lowered() {
    let world = World::new();
    let (a, b) = (world.activator("a").await, world.activator("b").await);
    b.load(|load| load.mute = true).await;
    assert_eq!(world.wait(40).await, Vec::<String>::new());
    assert!(drained(&a.news()).is_empty());
    assert_eq!(world.cx.metrics.blocked.get(), 1);
    assert_eq!((world.cx.metrics.link.known.get(), world.cx.metrics.link.unknown.get()), (1, 1));
    b.vanish();
    assert_eq!(world.wait(20).await, Vec::<String>::new());
    // It attaches again, as another process: quiet since its start only.
    let b = world.activator("b").await;
    assert_eq!(world.wait(1).await, Vec::<String>::new());
    world.until("scale f-1 to 0").await;
    drop(b);
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_another_epoch_is_worth_nothing() {
    let world = World::new();
    world.cluster.activator("a");
    let (reports, mut orders) = attach(world.server.connect().await, "token-a", hello("a", "b")).await.unwrap();
    let mut sequence = 1;
    let started = Instant::now();
    let mut order = 0;
    while started.elapsed() < Duration::from_secs(30) {
        while let Ok(Ok(Some(message))) = timeout(Duration::from_millis(500), orders.message()).await {
            order = message.drains.first().map_or(0, |drain| drain.order);
        }
        sequence += 1;
        let old =
            link::v1::Acknowledgement { epoch: EPOCH - 1, function_uid: "uf".into(), order, ..Default::default() };
        let clock_ms = 1_000_000 + u64::try_from(started.elapsed().as_millis()).unwrap();
        let acknowledgements = vec![old];
        reports.send(link::v1::Report { sequence, clock_ms, acknowledgements, ..Default::default() }).await.unwrap();
    }
    assert!(order > 0, "it was ordered to drain");
    assert_eq!(world.wait(0).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_of_orders_of_long_ago_is_worth_nothing_however_fresh_it_comes() {
    let world = World::new();
    let (a, b) = (world.activator("a").await, world.activator("b").await);
    // It hears nothing any more, and what it says is heard: the order lapses there.
    b.load(|load| load.stale = true).await;
    assert_eq!(world.wait(30).await, Vec::<String>::new());
    assert_eq!(drained(&a.news()), ["p"], "it is acknowledged by both, each second");
    b.load(|load| load.stale = false).await;
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_raise_between_read_and_write_is_never_undone() {
    let world = World::new();
    let a = world.activator("a").await;
    world.cluster.api().raise_after_read = true;
    world.until("scale f-1 to 0: conflict").await;
    assert_eq!(world.cluster.replicas("f-1"), 5);
    // The raise was for a request: it is seen, and the pods are given back.
    a.load(|load| (load.held, load.requests, load.idle_since) = (1, 1, None)).await;
    world.cluster.sync();
    assert_eq!(world.wait(20).await, Vec::<String>::new());
    assert!(drained(&a.news()).is_empty());
    assert_eq!(world.cluster.replicas("f-1"), 5);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_appears_during_the_read_is_drained_before_the_write() {
    let world = World::new();
    let a = world.activator("a").await;
    let cluster = world.cluster.clone();
    world.cluster.api().on_read = Some(Box::new(move || cluster.pod(pod("q", "f-1"))));
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1", "read f-1"]);
    assert_eq!(drained(&a.news()), ["p", "q"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_conflict_without_a_request_it_is_decided_again() {
    let world = World::new();
    let _a = world.activator("a").await;
    world.cluster.api().raise_after_read = true;
    world.until("scale f-1 to 0: conflict").await;
    world.cluster.sync();
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_refuses_the_order_stays_and_a_request_still_gets_the_pods() {
    let world = World::new();
    let a = world.activator("a").await;
    world.cluster.api().refuse = true;
    world.until("scale f-1 to 0: refused").await;
    assert!(world.cx.metrics.acknowledged.get() >= 1);
    assert_eq!(drained(&a.news()), ["p"]);
    a.load(|load| (load.held, load.requests, load.idle_since) = (1, 1, None)).await;
    sleep(Duration::from_millis(5)).await;
    assert!(drained(&a.news()).is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_a_lease_that_outlasts_the_write_nothing_is_written() {
    let world = World::new();
    let _a = world.activator("a").await;
    let short = Term { epoch: EPOCH, valid_until: Instant::now() + Duration::from_millis(14_500) };
    world.term.send_replace(Some(short));
    // From 11.5 s on the lease is too short: idle at 10 s, and the API server hangs until then.
    world.cluster.api().refuse = true;
    sleep(Duration::from_secs(12)).await;
    world.cluster.api().refuse = false;
    world.cluster.news();
    let asked = world.wait(10).await;
    assert!(asked.iter().all(|asked| asked == "read f-1"), "{asked:?}");
    assert_eq!(world.cluster.replicas("f-1"), 1);
    // Renewed: it goes on.
    world.term.send_replace(Some(Term { epoch: EPOCH, valid_until: Instant::now() + Duration::from_secs(60) }));
    world.until("scale f-1 to 0").await;
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_term_stops_a_write_at_once() {
    let world = World::new();
    let _a = world.activator("a").await;
    world.cluster.api().hang = true;
    world.until("scale f-1 to 0: no answer").await;
    world.scaler.abort();
    assert_eq!(world.wait(60).await, Vec::<String>::new());
}

/// The start of these pods of `f-1` failed.
fn failed(pods: &[&str]) -> Verdict {
    Verdict {
        key: Key::new("f").within("shop"),
        function_uid: "uf".to_owned(),
        revision: "f-1".to_owned(),
        pod_uids: pods.iter().map(|&uid| uid.to_owned()).collect(),
        failure: Failure::new(Reason::VolumeMountError, "the ConfigMap is missing"),
        from_events: true,
        of_boost: false,
        terms: Terms::default(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_lowered_with_nobody_heard_and_told_to_the_activators() {
    let world = World::new();
    world.cx.verdicts.replace("uf", vec![failed(&["p"])]);
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
    let a = world.activator("a").await;
    sleep(Duration::from_secs(1)).await;
    let failures = a.news().pop().unwrap().failures;
    assert_eq!((failures[0].pod_uid.as_str(), failures[0].reason.as_str()), ("p", "VolumeMountError"));
}

/// Requests wait for the other one.
#[tokio::test(start_paused = true)]
async fn a_start_of_which_a_part_failed_is_not_lowered() {
    let world = World::new();
    world.cluster.deployment(deployment("f-1", 2));
    world.cluster.pod(pod("q", "f-1"));
    world.cx.verdicts.replace("uf", vec![failed(&["p"])]);
    let a = world.activator("a").await;
    a.load(|load| (load.requests, load.held, load.idle_since) = (1, 1, None)).await;
    assert_eq!(world.wait(10).await, Vec::<String>::new());
    world.cx.verdicts.replace("uf", vec![failed(&["p", "q"])]);
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_retired_revision_is_drained_and_lowered_while_requests_flow() {
    let world = World::new();
    let a = world.activator("a").await;
    a.load(|load| (load.requests, load.idle_since) = (1, None)).await;
    sleep(Duration::from_secs(1)).await;
    world.cluster.deployment(deployment("f-2", 1));
    world.cluster.pod(pod("q", "f-2"));
    // One is in flight on the old pod.
    a.load(|load| load.in_flight = 1).await;
    world.cluster.function(function("f-2"));
    assert_eq!(world.wait(5).await, Vec::<String>::new());
    assert_eq!(drained(&a.news()), ["p"]);
    a.load(|load| load.in_flight = 0).await;
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
    assert_eq!(world.cluster.replicas("f-2"), 1);
}

#[tokio::test(start_paused = true)]
async fn readiness_is_told_to_the_reconcilers() {
    let world = World::new();
    let shown = world.cx.handle.show(&world.server.board);
    let a = world.activator("a").await;
    let pods = ["p".to_owned()];
    sleep(Duration::from_secs(2)).await;
    assert_eq!(world.cx.handle.ready_pods("f-1", &pods), Some(0));
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    let changed = world.cx.handle.changed();
    let keys = timeout(Duration::from_secs(1), changed.take()).await;
    assert!(keys.is_ok());
    assert_eq!(world.cx.handle.ready_pods("f-1", &pods), Some(1));
    drop(shown);
    assert_eq!(world.cx.handle.ready_pods("f-1", &pods), None, "this process leads no longer");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_function_leaves_no_order() {
    let world = World::new();
    let a = world.activator("a").await;
    world.cluster.api().refuse = true;
    world.until("scale f-1 to 0: refused").await;
    assert_eq!(drained(&a.news()), ["p"]);
    let mut leaving = function("f-1");
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
    world.cluster.function(leaving);
    sleep(Duration::from_millis(10)).await;
    assert!(drained(&a.news()).is_empty());
}
