//! Addresses that pods lose to others, and requests on their way to them.

use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::warm::warm;
use super::{TestPod, World, eventually, narrow_listener, post};

/// Another function's pod, a newer one, has the address.
fn thief(world: &World, pod: &TestPod) {
    world.see(json!({
        "metadata": {"namespace": "shop", "name": "thief", "uid": "thief", "creationTimestamp": "2026-01-01T00:05:00Z",
            "labels": {"rouse.dev/function": "other", "rouse.dev/revision": "o1", "rouse.dev/function-uid": "o-uid"}},
        "spec": {"nodeName": "n", "containers": [{"name": "function", "ports": [{"containerPort": pod.address.port()}]}]},
        "status": {"phase": "Running", "podIP": pod.address.ip().to_string()},
    }));
}

#[tokio::test]
async fn a_reused_address_belongs_to_the_newer_pod_until_that_goes() {
    let pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    assert_eq!(world.get("/").await.unwrap().body, "a");
    // The first one's deletion is not seen yet.
    thief(&world, &pod);
    let held = world.get("/");
    world.until_held(1).await;
    // A late event of the first pod does not bring it back.
    world.appear(&pod, "r1");
    assert!(world.index.pods().iter().all(|pod| *pod.uid == *"thief" || pod.pool().is_none()));
    assert_eq!((world.held(), pod.seen().len()), (1, 1));
    // It was the other way round: the newer one had shown an address that it had no more.
    world.index.pod_gone("thief", Instant::now());
    assert_eq!(held.await.unwrap().body, "a");
    world.expect_silence().await;
}

#[tokio::test]
async fn a_pod_that_lost_its_address_serves_at_its_next() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    thief(&world, &pod);
    let held = world.get("/");
    world.until_held(1).await;
    let moved = TestPod::start("a").await;
    world.appear(&moved, "r1");
    assert_eq!(held.await.unwrap().status, 200);
    assert_eq!((pod.seen().len(), moved.seen().len()), (0, 1));
    // And the address that it left behind is no reason to take the one that it has.
    world.appear(&TestPod::unserved("b", pod.address), "r1");
    assert_eq!(world.get("/").await.unwrap().status, 200);
    assert_eq!((pod.seen().len(), moved.seen().len()), (0, 2));
}

#[tokio::test]
async fn a_request_on_its_way_to_an_address_that_is_lost_goes_to_the_next() {
    // The probe takes the one place that there is.
    let listener = narrow_listener();
    let pod = TestPod::unserved("a", listener.local_addr().unwrap());
    let world = warm(&pod).await;
    let reply = world.send(post("/echo", "body"));
    eventually(|| world.index.pods()[0].slots.read().in_flight == 1).await;
    let moved = TestPod::start("a").await;
    world.appear(&moved, "r1");
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "body"));
    assert!(world.says("rouse_activator_unreachable_pods_total 0"), "nobody was found out of reach");
    assert!(world.says("rouse_activator_retries_total{cause=\"gone\",outcome=\"Sent\"} 1"));
    // Who has the address now gets nothing of it.
    let next = TestPod::on("next", listener, "http1");
    eventually(|| next.connections.load(Ordering::SeqCst) == 1).await;
    TcpStream::connect(pod.address).await.unwrap();
    eventually(|| next.connections.load(Ordering::SeqCst) == 2).await;
    assert!(next.seen().is_empty());
}
