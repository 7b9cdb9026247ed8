use std::task::Waker as TaskWaker;

use futures::future::ready;
use http::{Request, Response};
use prometheus_client::registry::Registry;
use tower::service_fn;

use super::*;
use crate::args::Limits;
use crate::function::{Function, Key, Spec};
use crate::hold::Pace;
use crate::path::again::{Again, Cause};
use crate::path::body::ResponseBody;
use crate::path::timing::Step;
use crate::pods::Pod;
use crate::server::Peer;
use crate::world::eventually;

async fn call(function: &Arc<Function>) -> Call {
    let (parts, ()) = Request::get("/").body(()).unwrap().into_parts();
    Call {
        parts,
        body: None,
        host: http::HeaderValue::from_static("hello.shop"),
        upgrade: None,
        peer: Peer::test().await,
        arrived: Instant::now(),
        caller_deadline: None,
        function: Arc::clone(function),
        counted: None,
        repeated: None,
    }
}

#[tokio::test]
async fn one_that_comes_back_unsent_finds_its_place_though_another_took_it() {
    let limits = Limits { max_held: 1.try_into().unwrap(), namespace_share_percent: 100, ..Limits::default() };
    let (places, metrics) = (Places::new(&limits), Metrics::new(&mut Registry::default()));
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));

    let (came, mut comings) = tokio::sync::mpsc::channel(1);
    let (open, pod_goes) = (Arc::clone(&places), Arc::clone(&pod));
    let inner = service_fn(move |Sending { call, grant }| {
        let (came, open, pod) = (came.clone(), Arc::clone(&open), Arc::clone(&pod_goes));
        Box::pin(async move {
            drop(grant);
            // The only place is free, as this request has left it: somebody else takes it.
            let Ok(other) = open.take(&call.function.key.namespace, 1) else {
                return Ok(Answer::warm(Response::new(ResponseBody::empty())));
            };
            pod.cast_doubt();
            came.send(other).await.unwrap();
            let (cause, fault) = (Cause::Unsent, Fault::Unreachable);
            Err(Trouble::Again(Box::new(Again { call, pod, cause, fault })))
        })
    });
    let (waker, _api) = Waker::test(&metrics);
    let mut hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let answer = tokio::spawn(hold.call(Box::new(call(&function).await)));
    eventually(|| function.gate.held() == 1).await;
    pod.prove_ready(Instant::now());
    function.release();
    let _other = comings.recv().await.unwrap();
    eventually(|| function.gate.held() == 1 || answer.is_finished()).await;
    pod.prove_ready(Instant::now());
    function.release();
    assert!(answer.await.unwrap().is_ok());
}

#[tokio::test]
async fn one_that_passed_and_comes_back_goes_before_those_who_came_since() {
    let limits = Limits { max_held: 2.try_into().unwrap(), namespace_share_percent: 100, ..Limits::default() };
    let (places, metrics) = (Places::new(&limits), Metrics::new(&mut Registry::default()));
    // A pod after the other, of one request each, and a queue of two.
    let mut spec = Spec { queue: 2, ..Spec::test() };
    spec.scaling.target = Some(1);
    spec.scaling.target_utilization_percent = 100;
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), spec);
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    pod.prove_ready(Instant::now());

    // The first comes back when its pod goes, and not before somebody lets it.
    let (came, mut comings) = tokio::sync::mpsc::unbounded_channel();
    let (back, goes) = (Arc::new(tokio::sync::Notify::new()), Arc::clone(&pod));
    let comes_back = Arc::clone(&back);
    let inner = service_fn(move |Sending { call, grant }| {
        let (came, back, pod) = (came.clone(), Arc::clone(&comes_back), Arc::clone(&goes));
        Box::pin(async move {
            came.send(call.parts.uri.path().to_owned()).unwrap();
            if call.repeated.is_none() && call.parts.uri.path() == "/first" {
                back.notified().await;
                drop(grant);
                let mut call = call;
                call.repeated = Some(Instant::now() + Duration::from_secs(60));
                let (cause, fault) = (Cause::Gone, Fault::Unreachable);
                return Err(Trouble::Again(Box::new(Again { call, pod, cause, fault })));
            }
            Ok(Answer::warm(Response::new(ResponseBody::empty())))
        })
    });
    let (waker, _api) = Waker::test(&metrics);
    let hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let to = async |path: &'static str| {
        let mut call = call(&function).await;
        call.parts.uri = http::Uri::from_static(path);
        Box::new(call)
    };
    let ask = |call| {
        let mut hold = hold.clone();
        tokio::spawn(async move { hold.call(call).await.is_ok() })
    };
    let first = ask(to("/first").await);
    assert_eq!(comings.recv().await.unwrap(), "/first");
    pod.cast_doubt();
    let second = ask(to("/second").await);
    eventually(|| function.gate.held() == 1).await;
    let third = ask(to("/third").await);
    eventually(|| function.gate.held() == 2).await;
    back.notify_one();
    eventually(|| function.gate.held() == 3 || first.is_finished()).await;
    pod.prove_ready(Instant::now());
    function.release();
    for path in ["/first", "/second", "/third"] {
        assert_eq!(comings.recv().await.unwrap(), path);
    }
    for answered in [first, second, third] {
        assert!(answered.await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn time_at_a_pod_is_no_wait_for_one() {
    let second = Duration::from_secs(1);
    let (places, metrics) = (Places::new(&Limits::default()), Metrics::new(&mut Registry::default()));
    let spec = Spec { cold_start: 60 * second, ..Spec::test() };
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), spec);
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    pod.prove_ready(Instant::now());
    let goes = Arc::clone(&pod);
    let inner = service_fn(move |Sending { mut call, grant }| {
        let pod = Arc::clone(&goes);
        Box::pin(async move {
            tokio::time::sleep(100 * second).await;
            drop(grant);
            pod.cast_doubt();
            call.repeated = Some(call.arrived + 300 * second);
            let (cause, fault) = (Cause::Gone, Fault::Unreachable);
            Err(Trouble::Again(Box::new(Again { call, pod, cause, fault })))
        })
    });
    let (waker, _api) = Waker::test(&metrics);
    let mut hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let began = Instant::now();
    let answer = tokio::spawn(hold.call(Box::new(call(&function).await)));
    tokio::time::sleep(101 * second).await;
    assert_eq!(function.gate.held(), 1);
    pod.prove_ready(Instant::now());
    function.release();
    assert_eq!(function.gate.held(), 0);
    // What it waited then counts.
    let failure = answer.await.unwrap().unwrap_err();
    assert!(matches!(failure.fault, Fault::ColdStartDeadline(_)), "{failure:?}");
    assert_eq!(began.elapsed().as_secs(), 2 * 100 + 60);
}

#[tokio::test(start_paused = true)]
async fn the_wait_ends_with_the_grant_however_late_the_request_runs() {
    let second = Duration::from_secs(1);
    let (places, metrics) = (Places::new(&Limits::default()), Metrics::new(&mut Registry::default()));
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    let inner = service_fn(|_: Sending| ready(Ok(Answer::warm(Response::new(ResponseBody::empty())))));
    let (waker, _api) = Waker::test(&metrics);
    let mut hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let mut answer = hold.call(Box::new(call(&function).await));
    assert!(Pin::new(&mut answer).poll(&mut Context::from_waker(TaskWaker::noop())).is_pending());
    tokio::time::advance(second).await;
    pod.prove_ready(Instant::now());
    function.release();
    tokio::time::advance(5 * second).await;
    let timeline = answer.await.unwrap().timeline.unwrap();
    assert_eq!((timeline.total, timeline.phase(Step::FirstByte)), (6 * second, 5 * second));
}

#[tokio::test(start_paused = true)]
async fn a_queue_of_long_polls_is_let_go_all_the_same() {
    let (places, metrics) = (Places::new(&Limits::default()), Metrics::new(&mut Registry::default()));
    let mut spec = Spec::test();
    spec.scaling.target = Some(1);
    spec.scaling.max_replicas = 1;
    let pace = Pace::of(&spec, 1);
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), spec);
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    let inner = service_fn(|sending: Sending| {
        Box::pin(async move {
            let _at_the_pod = sending.grant;
            std::future::pending().await
        })
    });
    let (waker, _api) = Waker::test(&metrics);
    let hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let most = u64::from(pace.most);
    for _ in 0..3 * most {
        let (mut hold, call) = (hold.clone(), call(&function).await);
        tokio::spawn(async move { hold.call(Box::new(call)).await.is_ok() });
    }
    eventually(|| function.gate.held() as u64 == 3 * most).await;
    pod.prove_ready(Instant::now());
    function.release();
    for share in 1..=3 {
        tokio::time::sleep(pace.lasts / 2).await;
        assert_eq!(pod.slots.read().in_flight, share * most);
        tokio::time::sleep(pace.lasts / 2).await;
    }
    assert_eq!(function.gate.held(), 0);
}

#[tokio::test]
async fn the_queue_has_the_order_of_arrival_whichever_task_runs_first() {
    let (places, metrics) = (Places::new(&Limits::default()), Metrics::new(&mut Registry::default()));
    let function = Function::new(Key::new("shop", "hello"), "f-uid".into(), Spec::test());
    let inner = service_fn(|_: Sending| ready(Ok(Answer::warm(Response::new(ResponseBody::empty())))));
    let (waker, _api) = Waker::test(&metrics);
    let mut hold = HoldLayer::new(&places, &waker, &metrics).layer(inner);
    let mut arrived = Vec::new();
    for _ in 0..3 {
        let call = call(&function).await;
        arrived.push(hold.call(Box::new(call)));
    }
    let mut cx = Context::from_waker(TaskWaker::noop());
    for at in [1, 2, 0] {
        assert!(Pin::new(&mut arrived[at]).poll(&mut cx).is_pending());
    }
    // Only one may be at a pod: its turn is the first one's.
    let pod = Pod::test("a", "r1");
    function.serving.store(Arc::new(vec![Arc::clone(&pod)]));
    pod.prove_ready(Instant::now());
    pod.soft.store(function.spec.load().share() - 1, std::sync::atomic::Ordering::Release);
    function.release();
    assert_eq!(function.gate.held(), 2);
    assert!(Pin::new(&mut arrived[0]).poll(&mut cx).is_ready());
}
