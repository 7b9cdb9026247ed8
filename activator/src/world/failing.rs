//! Starts that fail, and wakes that are refused.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{AT_ONCE, Reply, TestPod, World, at_best, world, world_with};
use crate::args::Limits;

fn waiting(reason: &str, message: &str) -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "function", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}]})
}

/// A request for which the function was woken, so that one pod is to come.
async fn woken() -> (World, JoinHandle<Reply>) {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    (world, reply)
}

#[tokio::test]
async fn a_failed_start_is_told_at_once() {
    let took = at_best(AT_ONCE, async |_| {
        let (mut world, reply) = woken().await;
        world.deployment("r1", 1);
        let pod = TestPod::start("a").await;
        let began = Instant::now();
        world.pod_object(&pod, "r1", waiting("ErrImagePull", "no such image"));
        assert_eq!(reply.await.unwrap().status, 503);
        began.elapsed()
    })
    .await;
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_failed_start_is_told_and_forgotten_with_its_pod() {
    let (mut world, reply) = woken().await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.pod_object(&pod, "r1", waiting("ErrImagePull", "no such image"));
    let reply = reply.await.unwrap();
    let problem = reply.problem();
    assert_eq!((reply.status, problem["reason"].clone()), (503, json!("ImagePullError")));
    assert!(problem["detail"].as_str().unwrap().contains("no such image"), "{problem}");
    assert!(reply.headers.contains_key("retry-after"));

    // Until the pod's state changes the next one hears the same, and nothing is asked of the API server.
    let next = world.get("/").await.unwrap();
    assert_eq!(next.status, 503);
    world.expect_silence().await;

    // The leader lowers to 0, and the next request starts afresh.
    world.delete(&pod, "r1");
    world.deployment("r1", 0);
    let fresh = world.get("/");
    world.expect_wake("r1", 1).await;
    let good = TestPod::start("b").await;
    world.appear(&good, "r1");
    assert_eq!(fresh.await.unwrap().body, "b");
}

/// What a Deployment says of which no pod may be made.
fn refusal() -> Value {
    json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}])
}

#[tokio::test]
async fn a_refused_pod_is_told_too_but_not_of_the_attempt_before() {
    let mut world = world().await;
    world.deployment_saying("r1", 0, refusal());
    let began = Instant::now();
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment_saying("r1", 1, refusal());
    let reply = reply.await.unwrap();
    // It was there before: it counts only two seconds after the wake.
    assert!((2..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    assert_eq!(reply.problem()["reason"], "PodsRefused");
}

#[tokio::test]
async fn a_new_refusal_is_told_at_once() {
    let took = at_best(AT_ONCE, async |_| {
        let (mut world, reply) = woken().await;
        let began = Instant::now();
        world.deployment_saying("r1", 1, refusal());
        assert_eq!(reply.await.unwrap().problem()["reason"], "PodsRefused");
        began.elapsed()
    })
    .await;
    assert!(took < AT_ONCE, "{took:?}");
}

#[tokio::test]
async fn a_paused_function_refuses_at_once() {
    let mut world = world_with(json!({"scaling": {"mode": "Paused"}}), Limits::default()).await;
    let reply = world.get("/").await.unwrap();
    assert_eq!((reply.status, reply.problem()["reason"].clone()), (503, json!("Paused")));
    world.expect_silence().await;
}

#[tokio::test]
async fn scaled_to_zero_by_hand_refuses_at_once_and_above_waits_without_a_wake() {
    let mut world = world_with(json!({"scaling": {"mode": "Manual"}}), Limits::default()).await;
    let reply = world.get("/").await.unwrap();
    let problem = reply.problem();
    assert_eq!((reply.status, problem["reason"].clone()), (503, json!("ScaledToZeroByHand")));
    assert_eq!(problem["type"], "https://rouse.dev/problems/scaled-to-zero");
    assert!(problem["detail"].as_str().unwrap().contains("kubectl scale function/hello -n shop --replicas=1"));
    world.expect_silence().await;

    // One is to come: that is waited for, and the leader's to start.
    world.function("r1", json!({"scaling": {"mode": "Manual", "replicas": 1}}));
    let reply = world.get("/");
    world.until_held(1).await;
    world.expect_silence().await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 200);

    // Back at zero: who waits is refused, who is being served is not.
    world.function("r1", json!({"scaling": {"mode": "Manual"}}));
    assert_eq!(world.get("/").await.unwrap().status, 200, "a pod is left");
    world.expect_silence().await;
}

fn refused(code: u16, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": "Forbidden", "code": code})
}

#[tokio::test]
async fn a_refusal_that_stays_is_told_without_names() {
    let mut world = world().await;
    let mut answer = world.get("/");
    let words = "deployments.apps \"r1\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: not today";
    // However often it is tried.
    let reply = loop {
        tokio::select! {
            reply = &mut answer => break reply.unwrap(),
            () = world.expect_patch("r1", 1, 403, refused(403, words)) => {}
        }
    };
    let problem = reply.problem();
    assert_eq!((reply.status, problem["reason"].clone()), (503, json!("WakeRefused")));
    assert_eq!(problem["detail"], "the function could not be woken: not today");
}

#[tokio::test]
async fn already_higher_is_a_success() {
    let mut world = world().await;
    let reply = world.get("/");
    let words = format!("denied request: {} from 3 to 1", crds::names::RAISE_ONLY);
    world.expect_patch("r1", 1, 422, refused(422, &words)).await;
    world.expect_silence().await;
    world.deployment("r1", 3);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 200);
    world.expect_silence().await;
}

#[tokio::test]
async fn an_error_that_passes_is_tried_again() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_patch("r1", 1, 503, refused(503, "etcd is away")).await;
    world.expect_patch("r1", 1, 500, refused(500, "still")).await;
    world.expect_wake("r1", 1).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 200);
}
