//! More requests than the pods can answer: the rest is refused at once.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{TestPod, World, eventually, world_with};
use crate::args::Limits;

/// Two pods of at most two; each is to have two requests, and three more may wait in all: 7, 4 at each.
async fn world() -> (World, [TestPod; 2]) {
    let scaling = json!({"maxReplicas": 2, "target": 2, "targetUtilizationPercent": 100});
    let mut world = world_with(json!({"scaling": scaling, "queue": {"maxRequests": 3}}), Limits::default()).await;
    world.deployment("r1", 2);
    let pods = [TestPod::start("a").await, TestPod::start("b").await];
    pods.iter().for_each(|pod| world.appear(pod, "r1"));
    eventually(|| world.index.pods().len() == 2 && world.index.pods().iter().all(|pod| pod.is_ready())).await;
    (world, pods)
}

fn awaited(world: &World) -> u64 {
    world.index.pods().iter().map(|pod| pod.pulse.awaited()).sum()
}

async fn caller(world: &World, path: &str) -> TcpStream {
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(format!("GET {path} HTTP/1.1\r\nhost: hello.shop\r\n\r\n").as_bytes()).await.unwrap();
    caller
}

#[tokio::test]
async fn what_nobody_can_answer_in_time_is_refused_at_once() {
    let (world, pods) = world().await;
    let mut waiting = Vec::new();
    for number in 1..=8 {
        waiting.push(caller(&world, "/never").await);
        eventually(|| awaited(&world) == number).await;
    }
    let refused = world.get("/").await.unwrap();
    assert_eq!(refused.problem()["type"], "https://rouse.dev/problems/overloaded");
    assert_eq!(refused.status, 503);
    assert!((1..=60).contains(&refused.after()), "{refused:?}");
    assert!(world.says("rouse_activator_faults_total{fault=\"overloaded\"} 1"));
    // What is on its way to a pod is there a moment later.
    eventually(|| pods[0].seen().len() + pods[1].seen().len() >= 8).await;
    assert_eq!(pods[0].seen().len() + pods[1].seen().len(), 8);
    // Its place is free again as soon as one is gone.
    waiting.pop();
    eventually(|| awaited(&world) == 7).await;
    assert_eq!(world.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn answers_that_go_on_are_no_load_that_waits() {
    let (world, _pods) = world().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = caller(&world, "/stall").await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        streams.push(stream);
    }
    assert_eq!(world.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn replicas_that_may_still_come_count() {
    let scaling = json!({"maxReplicas": 4, "target": 2, "targetUtilizationPercent": 100});
    let mut world = world_with(json!({"scaling": scaling, "queue": {"maxRequests": 3}}), Limits::default()).await;
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    eventually(|| world.index.pods().iter().any(|pod| pod.is_ready())).await;
    let mut waiting = Vec::new();
    for number in 1..=11 {
        waiting.push(caller(&world, "/never").await);
        eventually(|| awaited(&world) == number).await;
    }
    assert_eq!(world.get("/").await.unwrap().status, 503);
}

#[tokio::test]
async fn a_pod_that_only_comes_up_takes_no_part_from_those_that_are_ready() {
    let scaling = json!({"maxReplicas": 4, "target": 2, "targetUtilizationPercent": 100});
    let mut world = world_with(json!({"scaling": scaling, "queue": {"maxRequests": 3}}), Limits::default()).await;
    world.deployment("r1", 2);
    let [pod, pending] = [TestPod::start("a").await, TestPod::start("b").await];
    world.appear(&pod, "r1");
    eventually(|| world.index.pods().iter().any(|pod| pod.is_ready())).await;
    world.pod_object(&pending, "r1", json!({"phase": "Pending"}));
    assert_eq!(world.index.functions()[0].serving.load().len(), 2);
    let mut waiting = Vec::new();
    for number in 1..=11 {
        waiting.push(caller(&world, "/never").await);
        eventually(|| awaited(&world) == number).await;
    }
    assert_eq!(world.get("/").await.unwrap().status, 503);
    // Once it is ready it has its part.
    world.appear(&pending, "r1");
    eventually(|| world.index.pods().iter().filter(|pod| pod.is_ready()).count() == 2).await;
    assert_eq!(world.get("/").await.unwrap().body, "b");
}

#[tokio::test]
async fn the_pod_that_has_room_is_found_behind_one_with_fewer_in_flight() {
    let (world, pods) = world().await;
    world.delete(&pods[1], "r1");
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = caller(&world, "/stall").await;
        let mut head = [0; 15];
        stream.read_exact(&mut head).await.unwrap();
        streams.push(stream);
    }
    let other = TestPod::start("c").await;
    world.appear(&other, "r1");
    eventually(|| world.index.pods().iter().filter(|pod| pod.is_ready()).count() == 2).await;
    let mut waiting = Vec::new();
    for number in 1..=4 {
        waiting.push(caller(&world, "/never").await);
        eventually(|| awaited(&world) == number).await;
    }
    assert_eq!(other.seen(), ["GET /never"; 4]);
    assert_eq!(world.get("/").await.unwrap().body, "a");
}
