//! From zero, and on the way there.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, sleep};

use super::{TestPod, eventually, get, world, world_with};
use crate::args::Limits;

#[tokio::test]
async fn the_first_request_wakes_and_waits() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.pod_object(&pod, "r1", json!({"phase": "Pending"}));
    world.expect_silence().await;
    world.appear(&pod, "r1");
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.body.as_str(), reply.cold()), (200, "a", "true"));
    let timing = reply.headers["server-timing"].to_str().unwrap();
    let parts: Vec<f64> = timing.split("dur=").skip(1).map(|p| p.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(parts.len(), 7, "{timing}");
    assert!((parts[0] - parts[1..].iter().sum::<f64>()).abs() < 0.1, "{timing}");

    let warm = world.get("/").await.unwrap();
    assert_eq!((warm.status, warm.cold()), (200, "false"));
    assert!(!warm.headers.contains_key("server-timing"));
    world.expect_silence().await;
}

#[tokio::test]
async fn a_burst_is_woken_for_by_two_writes_at_most() {
    let spec = json!({"scaling": {"target": 10, "targetUtilizationPercent": 100}});
    let mut world = world_with(spec, Limits::default()).await;
    let first = world.get("/");
    let wake = world.next_patch("r1", 1).await;
    let others: Vec<_> = (0..49).map(|_| world.get("/")).collect();
    world.until_held(50).await;
    world.answer(wake, "r1", 1);
    world.expect_wake("r1", 5).await;
    world.deployment("r1", 5);
    world.expect_silence().await;
    let mut pods = Vec::new();
    for uid in ["a", "b", "c", "d", "e"] {
        pods.push(TestPod::start(uid).await);
        world.appear(pods.last().unwrap(), "r1");
    }
    assert_eq!(first.await.unwrap().status, 200);
    for reply in others {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    assert_eq!(world.held(), 0);
}

#[tokio::test]
async fn a_lowering_while_somebody_waits_is_raised_again() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 0);
    world.expect_wake("r1", 1).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 200);
    world.expect_silence().await;
}

#[tokio::test]
async fn a_full_queue_says_so() {
    let mut world = world_with(json!({"queue": {"maxRequests": 2}}), Limits::default()).await;
    let (_first, _second) = (world.get("/"), world.get("/"));
    world.expect_wake("r1", 1).await;
    world.until_held(2).await;
    let third = world.get("/").await.unwrap();
    // Of a start that takes two seconds, as one does of which nothing is known.
    assert_eq!(third.status, 503);
    assert!((1..=3).contains(&third.after()), "{third:?}");
    let problem = third.problem();
    assert_eq!(problem["type"], "https://rouse.dev/problems/queue-full");
    assert_eq!(problem["function"], "shop/hello");
}

#[tokio::test]
async fn the_cold_start_has_a_deadline() {
    let mut world = world_with(json!({"timeouts": {"coldStartSeconds": 3}}), Limits::default()).await;
    let began = Instant::now();
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let reply = reply.await.unwrap();
    assert!((3..10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let problem = reply.problem();
    assert_eq!(reply.status, 504);
    assert_eq!(problem["limitMs"], 3000);
    assert_eq!(problem["phase"], "hold");
    assert_eq!(problem["detail"], "no replica was ready in time: no replica exists yet");
    assert_eq!(world.held(), 0);
}

#[tokio::test]
async fn a_grpc_caller_brings_its_own_deadline() {
    let mut world = world().await;
    let mut request = get("/");
    request.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    request.headers_mut().insert("grpc-timeout", "1S".parse().unwrap());
    let reply = world.send(request);
    world.expect_wake("r1", 1).await;
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.headers["grpc-status"].to_str().unwrap()), (200, "4"));
}

#[tokio::test]
async fn waiters_follow_the_function_to_its_next_revision() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    let old = TestPod::start("old").await;
    world.deployment("r2", 0);
    world.function("r2", json!({}));
    world.expect_wake("r2", 1).await;
    world.appear(&old, "r1");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(world.held(), 1, "a pod of the old revision takes nothing new");
    let new = TestPod::start("new").await;
    world.appear(&new, "r2");
    assert_eq!(reply.await.unwrap().body, "new");
    assert!(old.seen().is_empty());
}

#[tokio::test]
async fn a_deleted_function_answers_its_waiters() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    let meta = serde_json::from_value(json!({"namespace": "shop", "name": "hello", "uid": "f-uid"})).unwrap();
    assert!(world.index.function_gone(&meta));
    world.index.publish();
    assert_eq!(reply.await.unwrap().status, 404);
    let after = world.get("/").await.unwrap();
    assert_eq!(
        (after.status, after.problem()["type"].clone()),
        (404, json!("https://rouse.dev/problems/no-such-function"))
    );
}

/// A health check that comes with a new image is none of the old one's, which serves on as long as the new one fails.
#[tokio::test]
async fn a_pod_is_proved_by_the_path_its_revision_came_with() {
    let mut world = world().await;
    world.deployment_object("r1", 0, &json!({"rouse.dev/readiness-path": "/"}), json!([]));
    world.function("r1", json!({"readiness": {"path": "/ready"}}));
    let reply = world.get("/hello");
    world.expect_wake("r1", 1).await;
    let pod = TestPod::raw("a", |mut stream, _| async move {
        use tokio::io::AsyncReadExt as _;
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        let answer: &[u8] = match &buffer[..read] {
            head if head.starts_with(b"GET /ready ") => b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            _ => b"HTTP/1.1 204 Fine\r\n\r\n",
        };
        let _ = stream.write_all(answer).await;
    })
    .await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 204);
}

#[tokio::test]
async fn a_slow_application_is_asked_until_it_answers() {
    let mut world = world_with(json!({"readiness": {"path": "/ready"}}), Limits::default()).await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    let pod = TestPod::raw("a", |mut stream, number| async move {
        use tokio::io::AsyncReadExt as _;
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let answer: &[u8] = match number {
            0..3 => b"HTTP/1.1 503 Not yet\r\ncontent-length: 0\r\n\r\n",
            _ => b"HTTP/1.1 204 Fine\r\n\r\n",
        };
        let _ = stream.write_all(answer).await;
    })
    .await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 204);
    assert!(pod.connections.load(std::sync::atomic::Ordering::SeqCst) >= 5);
    eventually(|| world.held() == 0).await;
}
