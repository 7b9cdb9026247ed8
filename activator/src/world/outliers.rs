//! Pods that can be reached and are of no use: frozen, resetting, answering garbage.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::warm::head;
use super::{SOON, TestPod, World, eventually, get, post, send, world_with};
use crate::args::Limits;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A pod that does so with each request as long as the switch is on, and answers otherwise.
async fn faulty(uid: &str, says: Option<&'static [u8]>) -> (TestPod, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&switch);
    let pod = TestPod::raw(uid, move |mut stream, _| {
        let on = Arc::clone(&on);
        async move {
            while head(&mut stream).await {
                if on.load(Ordering::SeqCst) {
                    match says {
                        Some(says) => drop(stream.write_all(says).await),
                        None => std::future::pending().await,
                    }
                    return;
                }
                if stream.write_all(OK).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (pod, switch)
}

async fn ready(pods: &[&TestPod]) -> World {
    let mut world = world_with(json!({}), Limits::default()).await;
    world.deployment("r1", i32::try_from(pods.len()).unwrap());
    for pod in pods {
        world.appear(pod, "r1");
    }
    eventually(|| world.index.pods().len() == pods.len() && world.index.pods().iter().all(|pod| pod.is_ready())).await;
    world
}

/// Whether a request was sent again that a pod may have had.
fn retried(world: &World) -> bool {
    world.metrics().lines().any(|line| {
        line.starts_with("rouse_activator_retries_total") && line.contains("\"lost\"") && !line.ends_with(" 0")
    })
}

fn is_ready(world: &World, pod: &TestPod) -> bool {
    world.index.pods().iter().any(|own| *own.uid == *pod.uid && own.is_ready())
}

#[tokio::test]
async fn a_pod_that_breaks_exchanges_is_left_alone_and_comes_back() {
    let unasked = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: any\r\n\r\n".as_slice();
    for says in [b"".as_slice(), b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n nonsense\r\n\r\n", unasked] {
        let (a, switch) = faulty("a", Some(says)).await;
        let b = TestPod::start("b").await;
        let world = ready(&[&a, &b]).await;
        let mut failed = 0;
        // Few enough to be done before it is tried again.
        for _ in 0..20 {
            failed += u32::from(world.send(post("/", "x")).await.unwrap().status == 502);
        }
        // Being quick to fail it is the least busy one.
        assert_eq!(failed, 5, "{:?}", String::from_utf8_lossy(says));
        assert!(!is_ready(&world, &a) && is_ready(&world, &b));
        assert!(world.says("rouse_activator_ejections_total{reason=\"Failures\"} 1"));
        switch.store(false, Ordering::SeqCst);
        eventually(|| is_ready(&world, &a)).await;
        assert_eq!(world.send(post("/", "x")).await.unwrap().body, "ok");
    }
}

#[tokio::test]
async fn a_pod_of_http2_whose_answers_are_not_valid_is_left_alone() {
    let mut a = TestPod::raw("a", |stream, _| async move {
        // A probe closes at once.
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let response = http::Response::builder().header("content-length", "0").header("content-length", "0");
            let _ = respond.send_response(response.body(()).unwrap(), true);
        }
    })
    .await;
    a.port_name = "h2c";
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b]).await;
    let mut failed = 0;
    for _ in 0..50 {
        failed += u32::from(world.send(post("/", "x")).await.unwrap().status == 502);
    }
    assert_eq!(failed, 5);
    assert!(!is_ready(&world, &a) && is_ready(&world, &b));
}

#[tokio::test]
async fn a_frozen_pod_is_left_alone_and_the_others_serve() {
    let (a, switch) = faulty("a", None).await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b]).await;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let address = world.address;
        callers.spawn(async move {
            // Who is caught by the frozen pod waits there.
            while let Ok(reply) = timeout(Duration::from_secs(60), send(address, get("/"))).await {
                assert_eq!(reply.status, 200);
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
    eventually(|| !is_ready(&world, &a)).await;
    assert!(is_ready(&world, &b));
    assert!(world.says("rouse_activator_ejections_total{reason=\"Silence\"} 1"));
    for _ in 0..50 {
        let reply = timeout(SOON, world.get("/")).await.expect("it met the frozen one");
        assert_eq!(reply.unwrap().body, "b");
    }
    callers.shutdown().await;
    // It thaws. Its time is up some seconds later.
    switch.store(false, Ordering::SeqCst);
    eventually(|| is_ready(&world, &a)).await;
}

#[tokio::test]
async fn what_waits_at_a_pod_without_a_sign_of_life_goes_elsewhere_if_it_may() {
    let (a, _switch) = faulty("a", None).await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b]).await;
    let address = world.address;
    let found = Arc::new(AtomicBool::new(false));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let found = Arc::clone(&found);
        callers.spawn(async move {
            while !found.load(Ordering::SeqCst) {
                assert_eq!(send(address, get("/")).await.body, "b");
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
    let mut posts = tokio::task::JoinSet::new();
    for _ in 0..4 {
        posts.spawn(send(address, post("/", "x")));
    }
    eventually(|| !is_ready(&world, &a)).await;
    found.store(true, Ordering::SeqCst);
    // Before the deadline of what is at the frozen pod, which is 30 s.
    timeout(Duration::from_secs(20), callers.join_all()).await.expect("a GET is still there");
    assert!(retried(&world));
    let mut waiting = 4;
    while let Some(Ok(reply)) = posts.try_join_next() {
        assert_eq!(reply.body, "b");
        waiting -= 1;
    }
    assert!(waiting > 0, "nobody knows whether the pod has begun with it");
}

#[tokio::test]
async fn a_pod_that_is_only_slow_keeps_what_it_has() {
    let slow = Arc::new(AtomicBool::new(true));
    let on = Arc::clone(&slow);
    let a = TestPod::raw("a", move |mut stream, _| {
        let on = Arc::clone(&on);
        async move {
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            while bytes[..read].starts_with(b"GET") && on.load(Ordering::SeqCst) {
                sleep(Duration::from_millis(10)).await;
            }
            drop(stream.write_all(OK).await);
        }
    })
    .await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b]).await;
    let address = world.address;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        callers.spawn(async move {
            loop {
                let reply = send(address, get("/")).await;
                if reply.body != "b" {
                    return reply.body;
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
    }
    eventually(|| !is_ready(&world, &a)).await;
    // Longer than it takes to find out that a pod is dead.
    sleep(Duration::from_secs(4)).await;
    slow.store(false, Ordering::SeqCst);
    assert_eq!(timeout(SOON, callers.join_next()).await.unwrap().unwrap().unwrap(), "ok");
    assert!(!retried(&world));
}

#[tokio::test]
async fn the_last_one_is_never_left_alone() {
    let (a, switch) = faulty("a", Some(b"garbage\r\n\r\n")).await;
    let world = ready(&[&a]).await;
    for _ in 0..20 {
        assert_eq!(world.get("/").await.unwrap().status, 502);
        assert!(is_ready(&world, &a));
    }
    switch.store(false, Ordering::SeqCst);
    assert_eq!(world.get("/").await.unwrap().status, 200);
}

#[tokio::test]
async fn one_that_was_left_alone_serves_when_the_others_go() {
    let (a, switch) = faulty("a", Some(b"")).await;
    let mut b = TestPod::start("b").await;
    let world = ready(&[&a, &b]).await;
    for _ in 0..8 {
        assert!(matches!(world.send(post("/", "x")).await.unwrap().status, 200 | 502));
    }
    assert!(!is_ready(&world, &a));
    let alone = world.index.pods().iter().find_map(|pod| pod.ejected_until()).unwrap();
    switch.store(false, Ordering::SeqCst);
    b.stop().await;
    let reply = world.get("/").await.unwrap();
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok"));
    assert!(tokio::time::Instant::now() < alone, "not before its time was up");
}
