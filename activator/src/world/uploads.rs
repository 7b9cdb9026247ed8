//! Bodies that are waited for, in vain or not.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::{SOON, TestPod, eventually, frames, world_with};
use crate::args::Limits;

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let limits = Limits { body_idle: Duration::from_secs(1), ..Limits::default() };
    for pod in [TestPod::start("a").await, TestPod::h2c("a").await] {
        let world = world_with(json!({}), limits.clone()).await;
        world.appear(&pod, "r1");
        let mut caller =
            world.caller("POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 100\r\n\r\nhalf").await;
        let mut seen = String::new();
        timeout(SOON, caller.read_to_string(&mut seen)).await.expect("the connection stays open").unwrap();
        assert!(seen.starts_with("HTTP/1.1 408") && seen.contains("body-too-slow"), "{seen}");
        eventually(|| world.present() == (0, 0)).await;

        let mut raw = frames::Raw::open(world.address).await;
        let fields = frames::fields("POST", "hello.shop", "/count");
        assert!(raw.send(&[frames::frame(1, 4, 1, &fields), frames::frame(0, 0, 1, b"half")].concat()).await);
        eventually(|| raw.seen().iter().any(|frame| frame[3] == 1)).await;
        eventually(|| raw.seen().iter().any(|frame| String::from_utf8_lossy(frame).contains("body-too-slow"))).await;
        eventually(|| world.present() == (0, 0)).await;
        assert!(world.says(r#"rouse_activator_faults_total{fault="body-too-slow"} 2"#));
    }
}

#[tokio::test]
async fn a_body_that_drips_is_answered_408() {
    let grace = Duration::from_secs(1);
    let limits = Limits { body_grace: grace, min_body_rate: 1000, ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    for (chunk, status) in [("b".repeat(20), "408"), ("b".repeat(2000), "200")] {
        let length = chunk.len() * 30;
        let head = format!("POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: {length}\r\n\r\n");
        let (mut read, mut write) = world.caller(&head).await.into_split();
        let drip = tokio::spawn(async move {
            for _ in 0..30 {
                if write.write_all(chunk.as_bytes()).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            std::future::pending::<()>().await;
        });
        let mut seen = [0; 20];
        timeout(SOON, read.read_exact(&mut seen)).await.expect("no answer").unwrap();
        assert_eq!(&seen[9..12], status.as_bytes());
        drip.abort();
    }
}

#[tokio::test]
async fn a_body_that_is_not_waited_for_may_take_its_time() {
    let second = Duration::from_secs(1);
    let limits = Limits { body_idle: second, body_grace: second, ..Limits::default() };
    // Held; at a pod that does not read; a conversation; a stream of messages.
    let mut world = world_with(json!({}), limits).await;
    let mut held = world.caller("POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 5\r\n\r\n").await;
    world.expect_wake("r1", 1).await;
    tokio::time::sleep(2 * second).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    eventually(|| pod.seen() == ["POST /count"]).await;
    held.write_all(b"12345").await.unwrap();
    let mut seen = [0; 12];
    timeout(SOON, held.read_exact(&mut seen)).await.expect("no answer").unwrap();
    assert_eq!(&seen, b"HTTP/1.1 200");

    // More than the sockets between here and there take.
    let mut unread =
        world.caller("POST /unread HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 50000000\r\n\r\n").await;
    let written = timeout(2 * second, unread.write_all(&vec![b'x'; 50_000_000])).await;
    assert!(written.is_err(), "the pod reads");
    let answered = timeout(Duration::from_millis(1), unread.read_exact(&mut seen)).await;
    assert!(answered.is_err(), "{}", String::from_utf8_lossy(&seen));

    let mut talk = world.caller("POST /converse HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 8\r\n\r\nhalf").await;
    let mut head = Vec::new();
    while !head.ends_with(b"half") {
        head.push(timeout(SOON, talk.read_u8()).await.unwrap().unwrap());
    }
    tokio::time::sleep(2 * second).await;
    talk.write_all(b"rest").await.unwrap();
    let mut rest = Vec::new();
    while !rest.ends_with(b"rest") {
        rest.push(timeout(SOON, talk.read_u8()).await.unwrap().unwrap());
    }

    let grpc =
        "POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-type: application/grpc\r\ncontent-length: 5\r\n\r\n1";
    let mut grpc = world.caller(grpc).await;
    tokio::time::sleep(2 * second).await;
    grpc.write_all(b"2345").await.unwrap();
    let mut seen = [0; 1024];
    let read = timeout(SOON, grpc.read(&mut seen)).await.expect("no answer").unwrap();
    let seen = String::from_utf8_lossy(&seen[..read]);
    assert!(seen.starts_with("HTTP/1.1 200") && !seen.contains("grpc-status"), "{seen}");
}

#[tokio::test]
async fn a_body_that_its_caller_breaks_is_the_callers_fault() {
    for pod in [TestPod::start("a").await, TestPod::h2c("a").await] {
        let world = world_with(json!({}), Limits::default()).await;
        world.appear(&pod, "r1");
        // More of each kind than a pod may fail requests in a row.
        for (framing, rest, status, problem) in [
            ("content-length: 100", None, "HTTP/1.1 499 ", "client-gone"),
            ("transfer-encoding: chunked", None, "HTTP/1.1 499 ", "client-gone"),
            ("transfer-encoding: chunked", Some("no size\r\n"), "HTTP/1.1 400 ", "malformed-request"),
        ]
        .repeat(5)
        {
            let before = pod.seen().len();
            let mut caller =
                world.caller(&format!("POST /count HTTP/1.1\r\nhost: hello.shop\r\n{framing}\r\n\r\n")).await;
            eventually(|| pod.seen().len() > before).await;
            match rest {
                Some(rest) => caller.write_all(rest.as_bytes()).await.unwrap(),
                None => caller.shutdown().await.unwrap(),
            }
            let mut seen = String::new();
            timeout(SOON, caller.read_to_string(&mut seen)).await.expect("the connection stays open").unwrap();
            assert!(
                seen.starts_with(status) && seen.contains(problem),
                "{}, {framing}, {rest:?}: {seen}",
                pod.port_name
            );
        }
        for (fault, times) in [("client-gone", 10), ("malformed-request", 5)] {
            let labels = r#"{namespace="shop",function="hello",revision="r1","#;
            let line = format!(r#"rouse_activator_function_faults_total{labels}fault="{fault}"}} {times}"#);
            assert!(world.says(&line), "{line}");
        }
        let server_errors = |line: &str| line.contains(r#"class="5xx""#) && !line.ends_with(" 0");
        assert!(!world.metrics().lines().any(server_errors), "{}", world.metrics());
        assert!(!world.index.pods()[0].pulse.failed(), "the pod is blamed");
    }
}
