//! One waker against an API server that is a script, on a clock that moves by itself.

use crds::function::Scaling;
use futures::FutureExt as _;
use http::{Request, Response};
use kube::client::Body;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tower_test::mock::{self, Handle};

use super::*;
use crate::function::{Key, Spec, Workload};
use crate::hold::{Entry, Ticket};
use crate::pods::Pod;
use crate::routes::Table;

type Api = Handle<Request<Body>, Response<Body>>;

impl Waker {
    /// With an index of its own, and what it asks of the API server.
    pub(crate) fn test(metrics: &Arc<Metrics>) -> (Self, Api) {
        let (service, api) = mock::pair();
        let domains = crds::route::Domains { external: "localhost".into(), cluster: "cluster.local".into() };
        let beacon = Arc::new(Beacon::default());
        let index = Arc::new(Index::new(Arc::new(Table::new(domains)), Arc::clone(&beacon)));
        (Self::new(Client::new(service, "default"), Duration::from_secs(10), metrics, &index, &beacon), api)
    }
}

/// A function at zero for which one request waits, and its waker at work.
fn waking() -> (Arc<Function>, Ticket, Api) {
    let (function, mut tickets, api) = waking_of(Scaling::default(), 0, 1);
    (function, tickets.remove(0), api)
}

/// A function with so many replicas for which so many requests wait, and its waker at work.
fn waking_of(scaling: Scaling, replicas: i32, requests: usize) -> (Arc<Function>, Vec<Ticket>, Api) {
    let (waker, api) = Waker::test(&Metrics::new(&mut Registry::default()));
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec { scaling, ..Spec::test() });
    function.workload.store(Some(workload("r1", replicas, 1)));
    let mut tickets = Vec::new();
    for _ in 0..requests {
        let Entry::Wait { ticket, wake } = function.enter(Instant::now(), false) else { panic!("it did not wait") };
        tickets.push(ticket);
        if let Some(watch) = wake {
            waker.start(watch);
        }
    }
    (function, tickets, api)
}

/// What an API server is asked for in twelve seconds that lets there be no more than `most` replicas.
async fn asked_with_ceiling(mut api: Api, most: i32) -> Vec<i32> {
    let mut asked = Vec::new();
    let serving = async {
        while let Some((request, respond)) = api.next_request().await {
            let patch: Value = serde_json::from_slice(&request.into_body().collect_bytes().await.unwrap()).unwrap();
            let replicas = patch["spec"]["replicas"].as_i64().unwrap().try_into().unwrap();
            asked.push(replicas);
            let (code, body) = if replicas > most { (403, refused(403)) } else { (200, scale("9", replicas)) };
            let body = Body::from(body.to_string().into_bytes());
            respond.send_response(Response::builder().status(code).body(body).unwrap());
        }
    };
    assert!(timeout(Duration::from_secs(12), serving).await.is_err());
    asked
}

fn scale(version: &str, replicas: i32) -> Value {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}})
}

fn workload(name: &str, replicas: i32, version: u64) -> Arc<Workload> {
    Arc::new(Workload { name: name.into(), replicas, version: Some(version), readiness: None })
}

async fn answer(api: &mut Api, code: u16, body: Value) {
    let (_, respond) = api.next_request().await.unwrap();
    let body = Body::from(body.to_string().into_bytes());
    respond.send_response(Response::builder().status(code).body(body).unwrap());
}

fn refused(code: u16) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": "Conflict", "code": code})
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_repeated_at_once_and_then_ever_less_often() {
    let (_function, _ticket, mut api) = waking();
    let began = Instant::now();
    let mut after = Vec::new();
    for _ in 0..8 {
        answer(&mut api, 409, refused(409)).await;
        after.push(u64::try_from(began.elapsed().as_millis()).unwrap());
    }
    let pauses: Vec<_> = after.windows(2).map(|two| two[1] - two[0]).collect();
    // To the nearest 10: the clock moves in whole milliseconds.
    let pauses: Vec<_> = pauses.iter().map(|pause| pause / 10 * 10).collect();
    assert_eq!(pauses, [0, 50, 100, 200, 400, 800, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nobody_announced_is_handed_on() {
    let (function, mut ticket, mut api) = waking();
    answer(&mut api, 200, scale("2", 1)).await;
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    pod.prove_ready(Instant::now());
    let grant = timeout(2 * TICK, ticket.granted()).await.unwrap().unwrap();
    assert_eq!(&*grant.taken.pod().uid, "a");
}

#[tokio::test(start_paused = true)]
async fn drained_pods_that_cannot_be_taken_back_are_waited_for() {
    let (function, mut ticket, mut api) = waking();
    let pod = Pod::test("a", "r1");
    pod.prove_ready(Instant::now());
    pod.slots.drain();
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    // The index knows nothing of the function. The waker goes on, and lets others go on.
    answer(&mut api, 503, refused(503)).await;
    assert!(timeout(Duration::from_secs(1), ticket.granted()).await.is_err());
    pod.slots.restore();
    assert!(timeout(Duration::from_secs(1), ticket.granted()).await.unwrap().is_ok());
}

/// A request comes as the function changes: the Deployment of the revision before is still the one to wake. Its answer is newer
/// than all that the watch will ever say of the next one.
#[tokio::test(start_paused = true)]
async fn a_function_that_changes_as_it_is_woken_is_woken_as_what_it_is_now() {
    let (function, _ticket, mut api) = waking();
    answer(&mut api, 200, scale("9", 1)).await;
    let mut spec = Spec::clone(&function.spec.load());
    spec.revision = "r2".into();
    function.spec.store(Arc::new(spec));
    function.workload.store(Some(workload("r2", 0, 5)));
    let (asked, respond) = timeout(2 * TICK, api.next_request()).await.expect("it is never woken").unwrap();
    assert!(asked.uri().path().ends_with("/deployments/r2/scale"), "{}", asked.uri());
    respond.send_response(Response::new(Body::from(scale("9", 1).to_string().into_bytes())));
    assert!(timeout(10 * TICK, api.next_request()).await.is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_left_alone_is_asked_again_when_nobody_else_is_left() {
    let (function, _tickets, _api) = waking_of(Scaling::default(), 1, 1);
    let pod = Pod::test("a", "r1");
    pod.prove_ready(Instant::now());
    let other = Pod::test("b", "r1");
    other.prove_ready(Instant::now());
    function.serving.store(Arc::new(vec![Arc::clone(&pod), Arc::clone(&other)]));
    assert!(function.eject(&pod, "test", Instant::now()));
    // The other one goes without a word.
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    tokio::time::sleep(2 * TICK).await;
    assert!(!pod.is_ejected());
}

/// One for each request.
fn one_each() -> Scaling {
    Scaling { target: Some(1), target_utilization_percent: 100, max_replicas: 100, ..Scaling::default() }
}

#[tokio::test(start_paused = true)]
async fn where_so_many_replicas_are_refused_fewer_are_asked_for() {
    let (_function, mut tickets, api) = waking_of(one_each(), 0, 30);
    assert_eq!(asked_with_ceiling(api, 20).await, [30, 15, 30, 30]);
    assert!(tickets.iter_mut().all(|ticket| ticket.granted().now_or_never().is_none()), "somebody was refused");
}

/// What was allowed once is lowered, and may not be had again: those that are there answer.
#[tokio::test(start_paused = true)]
async fn what_was_allowed_before_is_not_what_is_there() {
    let (function, mut tickets, mut api) = waking_of(one_each(), 0, 15);
    answer(&mut api, 200, scale("9", 15)).await;
    function.workload.store(Some(workload("r1", 5, 10)));
    function.gate.changed.notify_one();
    assert_eq!(asked_with_ceiling(api, 5).await[..3], [15, 7, 15]);
    assert!(tickets.iter_mut().all(|ticket| ticket.granted().now_or_never().is_none()), "somebody was refused");
}

#[tokio::test(start_paused = true)]
async fn a_raise_that_is_refused_fails_nobody_who_waits_for_what_is_there() {
    let (_function, mut tickets, api) = waking_of(one_each(), 5, 30);
    assert_eq!(asked_with_ceiling(api, 5).await, [[30, 15, 7]; 3].concat());
    assert!(tickets.iter_mut().all(|ticket| ticket.granted().now_or_never().is_none()), "somebody was refused");
}
