//! Forwarding, and what becomes of connections that break.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{TestPod, World, eventually, get, narrow_listener, post, world, world_with};
use crate::args::Limits;

/// A world with this pod ready.
pub(super) async fn warm(pod: &TestPod) -> World {
    let mut world = world().await;
    world.deployment("r1", 1);
    world.appear(pod, "r1");
    eventually(|| world.index.pods().iter().all(|pod| pod.is_ready())).await;
    world
}

/// Reads one request's head; false at the connection's end.
pub(super) async fn head(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.windows(4).any(|w| w == b"\r\n\r\n") {
        let mut byte = [0];
        if !matches!(stream.read(&mut byte).await, Ok(1)) {
            return false;
        }
        seen.push(byte[0]);
    }
    true
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn a_refused_connection_looks_again_and_wakes_again() {
    let mut pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    pod.stop().await;
    let reply = world.get("/");
    world.until_held(1).await;
    world.delete(&pod, "r1");
    world.deployment("r1", 0);
    world.expect_wake("r1", 1).await;
    let next = TestPod::start("b").await;
    world.appear(&next, "r1");
    let reply = reply.await.unwrap();
    assert_eq!((reply.status, reply.body.as_str(), reply.cold()), (200, "b", "true"));
}

#[tokio::test]
async fn a_pod_that_answers_is_not_doubted_for_a_connection_that_it_does_not_accept() {
    let listener = narrow_listener();
    let pod = TestPod::unserved("a", listener.local_addr().unwrap());
    let (asked, mut has_asked) = tokio::sync::mpsc::channel(1);
    let serving = async {
        // The probe's, and one more.
        listener.accept().await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        while head(&mut stream).await {
            let _ = asked.try_send(());
            // The second is sent before this is over, and given up two seconds later.
            sleep(Duration::from_secs(1)).await;
            stream.write_all(OK).await.unwrap();
        }
    };
    let asking = async {
        let world = warm(&pod).await;
        let first = world.get("/");
        has_asked.recv().await.unwrap();
        // No further one has room.
        let _next = TcpStream::connect(pod.address).await.unwrap();
        let second = world.get("/");
        assert_eq!(first.await.unwrap().status, 200);
        // It could not connect, and has the other one's connection.
        assert_eq!(second.await.unwrap().status, 200);
        assert!(
            world.says("rouse_activator_retries_total{cause=\"unsent\",outcome=\"Sent\"} 1"),
            "{}",
            world.metrics()
        );
        assert!(world.says("rouse_activator_unreachable_pods_total 0"));
    };
    tokio::select! {
        () = asking => {}
        () = serving => unreachable!(),
    }
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    let probes = pod.connections.load(Ordering::SeqCst);
    for _ in 0..5 {
        assert_eq!(world.send(post("/echo", "hello")).await.unwrap().body, "hello");
    }
    assert_eq!(pod.connections.load(Ordering::SeqCst) - probes, 1);
    eventually(|| world.index.pods()[0].slots.read().in_flight == 0).await;
}

/// An application server that closes a connection as soon as the second request on it comes, which is what a close of an
/// idle connection looks like to a request that crosses it.
async fn closes_on_the_second() -> TestPod {
    TestPod::raw("a", |mut stream, _| async move {
        if head(&mut stream).await {
            stream.write_all(OK).await.unwrap();
            head(&mut stream).await;
        }
    })
    .await
}

#[tokio::test]
async fn a_get_that_met_a_closing_connection_is_sent_again() {
    let pod = closes_on_the_second().await;
    let world = warm(&pod).await;
    for _ in 0..4 {
        assert_eq!(world.get("/").await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_post_is_never_sent_twice() {
    let pod = closes_on_the_second().await;
    let world = warm(&pod).await;
    assert_eq!(world.send(post("/", "")).await.unwrap().status, 200);
    let second = world.send(post("/", "x")).await.unwrap();
    assert_eq!(
        (second.status, second.problem()["type"].clone()),
        (502, json!("https://rouse.dev/problems/broken-exchange"))
    );
}

#[tokio::test]
async fn a_post_never_takes_an_old_connection() {
    let pod = closes_on_the_second().await;
    let world = warm(&pod).await;
    for _ in 0..3 {
        assert_eq!(world.send(post("/", "x")).await.unwrap().status, 200);
        sleep(Duration::from_millis(1050)).await;
    }
}

#[tokio::test]
async fn the_fewest_in_flight_get_the_next() {
    let (a, b) = (TestPod::start("a").await, TestPod::start("b").await);
    let world = warm(&a).await;
    world.appear(&b, "r1");
    eventually(|| world.index.pods().iter().all(|pod| pod.is_ready())).await;
    let _waiting = [world.get("/never"), world.get("/never")];
    eventually(|| a.seen().len() + b.seen().len() == 2).await;
    assert_eq!((a.seen().len(), b.seen().len()), (1, 1));
}

#[tokio::test]
async fn heads_are_cleaned_and_completed() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    let mut request = get("/headers");
    for (name, value) in [
        ("rouse-cold-start", "true"),
        ("x-forwarded-for", "6.6.6.6"),
        ("connection", "x-between"),
        ("x-between", "1"),
        ("x-request-id", "mine"),
        ("x-other", "2"),
    ] {
        request.headers_mut().append(name, value.parse().unwrap());
    }
    let reply = world.send(request).await.unwrap();
    let lines: Vec<&str> = reply.body.lines().collect();
    for line in ["host: hello.shop", "x-forwarded-for: 127.0.0.1", "x-request-id: mine", "x-other: 2"] {
        assert!(lines.contains(&line), "{line} in {lines:?}");
    }
    assert!(lines.iter().any(|line| line.starts_with("traceparent: 00-")));
    assert!(!lines.iter().any(|line| line.starts_with("rouse-") || line.starts_with("x-between")), "{lines:?}");
}

#[tokio::test]
async fn a_request_has_a_deadline_before_and_after_the_head() {
    let pod = TestPod::start("a").await;
    let mut world = world_with(json!({"timeouts": {"requestSeconds": 1}}), Limits::default()).await;
    world.deployment("r1", 1);
    world.appear(&pod, "r1");
    let reply = world.get("/never").await.unwrap();
    assert_eq!((reply.status, reply.problem()["limitMs"].clone()), (504, json!(1000)));

    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(b"GET /stall HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await.unwrap();
    let mut seen = Vec::new();
    // The connection is closed in the middle of a chunked body: nobody can take it for a whole one.
    let _ = caller.read_to_end(&mut seen).await;
    let text = String::from_utf8_lossy(&seen);
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("half") && !text.ends_with("0\r\n\r\n"), "{text}");
    eventually(|| world.index.pods()[0].slots.read().in_flight == 0).await;
}

#[tokio::test]
async fn a_stop_lets_requests_end() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    let slow = world.get("/slow");
    eventually(|| pod.seen().len() == 1).await;
    world.stop.cancel();
    let reply = slow.await.unwrap();
    assert_eq!((reply.status, reply.headers["connection"].to_str().unwrap()), (200, "close"));
    eventually(|| std::net::TcpStream::connect(world.address).is_err()).await;
}

#[tokio::test]
async fn a_request_that_crosses_a_stop_is_answered() {
    let pod = TestPod::start("a").await;
    let world = warm(&pod).await;
    let request = "GET / HTTP/1.1\r\nhost: hello.shop\r\n\r\n";
    let mut used = world.caller(request).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\na") {
        seen.push(used.read_u8().await.unwrap());
    }
    assert!(!String::from_utf8_lossy(&seen).contains("connection: close"));
    let (mut fresh, mut idle) = (world.caller("").await, world.caller(request).await);
    world.stop.cancel();
    eventually(|| std::net::TcpStream::connect(world.address).is_err()).await;
    for caller in [&mut used, &mut fresh] {
        caller.write_all(request.as_bytes()).await.unwrap();
        let mut seen = String::new();
        caller.read_to_string(&mut seen).await.unwrap();
        assert!(seen.starts_with("HTTP/1.1 200 OK") && seen.contains("connection: close"), "{seen}");
    }
    // Nobody waits for one that has nothing to say.
    let mut seen = Vec::new();
    idle.read_to_end(&mut seen).await.unwrap();
}

/// An answer that had begun before the stop could not say that it is the last.
#[tokio::test]
async fn a_request_that_crosses_the_end_of_an_answer_is_answered() {
    let end = Arc::new(Notify::new());
    let ends = Arc::clone(&end);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let ends = Arc::clone(&ends);
        async move {
            let mut head = [0; 1024];
            while stream.read(&mut head).await.is_ok_and(|read| read > 0) {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\na").await.unwrap();
                ends.notified().await;
                stream.write_all(b"b").await.unwrap();
            }
        }
    });
    let pod = pod.await;
    let world = warm(&pod).await;
    let request = b"GET / HTTP/1.1\r\nhost: hello.shop\r\n\r\n";
    let mut caller = world.caller(std::str::from_utf8(request).unwrap()).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\na") {
        seen.push(caller.read_u8().await.unwrap());
    }
    world.stop.cancel();
    // Longer than a connection without an answer is kept.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    end.notify_one();
    assert_eq!(caller.read_u8().await.unwrap(), b'b');
    tokio::time::sleep(Duration::from_millis(100)).await;
    end.notify_one();
    caller.write_all(request).await.unwrap();
    let mut seen = String::new();
    caller.read_to_string(&mut seen).await.unwrap();
    assert!(seen.contains("connection: close") && seen.ends_with("\r\n\r\nab"), "{seen}");
}
