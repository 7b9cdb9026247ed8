//! The leader's orders, as requests meet them.

use link::v1::{Drain, Orders, StartFailure};
use serde_json::json;
use tokio::time::Instant;

use super::{AT_ONCE, TestPod, World, at_best, eventually, world, world_with};
use crate::args::Limits;

fn order(epoch: u64, order: u64, pods: &[&str], valid_ms: u32) -> Orders {
    let pod_uids = pods.iter().map(|uid| (*uid).to_owned()).collect();
    let drains = vec![Drain { function_uid: "f-uid".into(), order, pod_uids, valid_ms }];
    Orders { epoch, drains, ..Orders::default() }
}

async fn warm(pod: &TestPod) -> World {
    let mut world = world().await;
    world.deployment("r1", 1);
    world.appear(pod, "r1");
    eventually(|| world.index.pods().iter().all(|pod| pod.is_ready())).await;
    world
}

#[tokio::test]
async fn drained_pods_that_a_request_waits_for_are_reported_and_taken_back() {
    let pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    world.beacon.set_attached(true);
    // The pod was news.
    world.beacon.urged().await;
    world.index.obey(&order(1, 7, &["a"], 5000), Instant::now());
    let acks = world.index.acks();
    assert_eq!((acks[0].order, acks[0].held, acks[0].in_flight), (7, 0, 0));

    let began = Instant::now();
    let reply = world.get("/");
    world.beacon.urged().await;
    assert_eq!(world.held(), 1, "the leader has its time");
    assert_eq!(reply.await.unwrap().status, 200);
    assert!((240..10_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
    assert!(world.index.acks().is_empty(), "the order is void here");
    world.index.obey(&order(1, 7, &["a"], 5000), Instant::now());
    assert_eq!(world.get("/").await.unwrap().status, 200, "renewing it changes nothing");
    world.index.obey(&order(1, 8, &["a"], 5000), Instant::now());
    assert_eq!(world.index.acks()[0].order, 8);
    world.expect_silence().await;
}

/// A function that is paused, or set to no replicas, has its pods drained once and for all: whoever were let in once more would
/// keep them from going.
#[tokio::test]
async fn pods_that_go_because_nothing_is_to_run_are_not_taken_back() {
    for scaling in [json!({"mode": "Paused"}), json!({"mode": "Manual", "replicas": 0})] {
        let pod = TestPod::start("a").await;
        let mut world = warm(&pod).await;
        world.beacon.set_attached(true);
        world.function("r1", json!({"scaling": scaling}));
        assert_eq!(world.get("/").await.unwrap().status, 200, "as long as there is one");
        world.index.obey(&order(1, 7, &["a"], 5000), Instant::now());
        let began = Instant::now();
        assert_eq!(world.get("/").await.unwrap().status, 503, "{scaling}");
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        assert_eq!(world.index.acks()[0].order, 7, "the order stands");
        world.expect_silence().await;
    }
}

#[tokio::test]
async fn without_a_leader_drained_pods_are_taken_back_at_once() {
    let pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    let took = at_best(AT_ONCE, async |number| {
        world.index.obey(&order(1, 7 + number, &["a"], 5000), Instant::now());
        let began = Instant::now();
        assert_eq!(world.get("/").await.unwrap().status, 200);
        began.elapsed()
    })
    .await;
    assert!(took < AT_ONCE, "{took:?}");
    world.expect_silence().await;
}

#[tokio::test]
async fn the_leader_releases_within_milliseconds() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    world.beacon.set_attached(true);
    let took = at_best(AT_ONCE, async |number| {
        world.index.obey(&order(1, 7 + number, &["a"], 5000), Instant::now());
        let began = Instant::now();
        let reply = world.get("/");
        // Or its pods have been taken back before anybody could look.
        eventually(|| world.held() == 1 || reply.is_finished()).await;
        world.index.obey(&Orders { epoch: 1, ..Orders::default() }, Instant::now());
        assert_eq!(reply.await.unwrap().status, 200);
        began.elapsed()
    })
    .await;
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_lowering_after_the_drain_is_a_cold_start() {
    let pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    world.beacon.set_attached(true);
    world.index.obey(&order(1, 7, &["a"], 5000), Instant::now());
    let reply = world.get("/");
    world.until_held(1).await;
    world.deployment("r1", 0);
    world.expect_wake("r1", 1).await;
    world.delete(&pod, "r1");
    let next = TestPod::start("b").await;
    world.appear(&next, "r1");
    assert_eq!(reply.await.unwrap().body, "b");
    assert!(pod.seen().is_empty());
}

#[tokio::test]
async fn what_only_the_leader_sees_is_told_to_callers() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.pod_object(&pod, "r1", json!({"phase": "Pending"}));
    let failure = StartFailure {
        function_uid: "f-uid".into(),
        pod_uid: "a".into(),
        reason: "VolumeMountError".into(),
        message: "configmap \"x\" not found".into(),
    };
    world.index.obey(&Orders { epoch: 1, failures: vec![failure], ..Orders::default() }, Instant::now());
    assert_eq!(reply.await.unwrap().problem()["reason"], "VolumeMountError");
}

/// The pod's own words have the trace; the leader's have not.
#[tokio::test]
async fn a_trace_is_for_callers_of_a_function_that_says_so() {
    for debug in [false, true] {
        let mut world = world_with(json!({"debug": debug}), Limits::default()).await;
        let reply = world.get("/");
        world.expect_wake("r1", 1).await;
        let sentence = "The source has a syntax error in line 3.";
        let failure = StartFailure {
            function_uid: "f-uid".into(),
            pod_uid: "a".into(),
            reason: "SourceError".into(),
            message: sentence.into(),
        };
        world.index.obey(&Orders { epoch: 1, failures: vec![failure], ..Orders::default() }, Instant::now());
        let ended = json!({"exitCode": 78, "message": format!("{sentence}\n  a line of the code\n")});
        let mut labels = super::labels("r1");
        labels["rouse.dev/runtime"] = json!("python");
        world.see(json!({
            "metadata": {"namespace": "shop", "name": "a", "uid": "a", "labels": labels},
            "spec": {"containers": [{"name": "function"}]},
            "status": {"phase": "Running", "containerStatuses": [{
                "name": "function", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": ended},
            }]},
        }));
        world.deployment("r1", 1);
        let problem = reply.await.unwrap().problem();
        let detail = problem["detail"].as_str().unwrap();
        assert!(problem["reason"] == "SourceError" && detail.contains(sentence), "{problem}");
        assert_eq!(detail.contains("a line of the code"), debug, "{problem}");
    }
}
