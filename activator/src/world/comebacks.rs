//! When callers that are turned away are told to come back.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{TestPod, World, eventually, get, world_with};
use crate::args::Limits;

/// A world in which one request of the function may wait.
async fn world() -> World {
    world_with(json!({"queue": {"maxRequests": 1}}), Limits::default()).await
}

#[tokio::test]
async fn whoever_meets_a_full_queue_is_told_the_rest_of_a_start_as_they_were_seen() {
    let mut world = world().await;
    let woken = Instant::now();
    let first = world.get("/");
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    // Longer than what is taken for a start where none was seen, and than anybody is told for that.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(first.await.unwrap().status, 200);
    let took = woken.elapsed().as_secs();
    let function = world.index.functions().remove(0);
    eventually(|| function.wakes.outlook(Instant::now()).0.is_some()).await;

    world.delete(&pod, "r1");
    world.deployment("r1", 0);
    let again = Instant::now();
    let _second = world.get("/");
    world.expect_wake("r1", 1).await;
    world.until_held(1).await;
    let told = world.get("/").await.unwrap();
    assert_eq!(told.problem()["type"], "https://rouse.dev/problems/queue-full");
    // A quarter less at least of what was left; how much more depends on how long the first one took.
    let left = Duration::from_secs(5).saturating_sub(again.elapsed()).as_secs_f64();
    let after = f64::from(u32::try_from(told.after()).unwrap());
    assert!(after >= (left.max(1.0) * 0.75).round(), "{told:?}, {left} s before the end");
    assert!(told.after() <= (took + 1) * 5 / 4 + 1, "{told:?} after a start of {took} s");

    let mut grpc = get("/");
    grpc.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    let told = world.send(grpc).await.unwrap();
    assert_eq!(told.headers["grpc-status"], "8");
    assert_eq!(told.headers["grpc-retry-pushback-ms"].to_str().unwrap(), format!("{}000", told.after()));
}

#[tokio::test]
async fn pods_that_answer_nothing_are_not_asked_again_soon() {
    let scaling = json!({"maxReplicas": 1, "target": 1, "targetUtilizationPercent": 100});
    let mut world = world_with(json!({"scaling": scaling, "queue": {"maxRequests": 1}}), Limits::default()).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    eventually(|| world.index.pods().iter().any(|pod| pod.is_ready())).await;
    let mut waiting = Vec::new();
    for number in 1..=2 {
        let mut caller = TcpStream::connect(world.address).await.unwrap();
        caller.write_all(b"GET /never HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await.unwrap();
        waiting.push(caller);
        eventually(|| world.index.pods()[0].pulse.awaited() == number).await;
    }
    let function = world.index.functions().remove(0);
    eventually(|| function.drain.rate() == Some(0.0)).await;
    let told = world.get("/").await.unwrap();
    assert_eq!(told.problem()["type"], "https://rouse.dev/problems/overloaded");
    assert!((45..=60).contains(&told.after()), "{told:?}");
}
