//! HTTP/2, gRPC, upgrades.

use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{TestPod, eventually, get, world, world_with};
use crate::args::Limits;

async fn connect(world: &super::World) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn http2_to_either_kind_of_pod() {
    for h2c in [false, true] {
        let mut world = world().await;
        let pod = if h2c { TestPod::h2c("a").await } else { TestPod::start("a").await };
        let mut sender = connect(&world).await;
        let request = Request::post("http://hello.shop/trailers").header("te", "trailers").header("cookie", "a=1");
        let response = tokio::spawn(sender.send_request(request.body(Full::from("body")).unwrap()));
        world.expect_wake("r1", 1).await;
        world.appear(&pod, "r1");
        let response = response.await.unwrap().unwrap();
        assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_2));
        assert_eq!(response.headers()["rouse-cold-start"], "true");
        let collected = response.into_body().collect().await.unwrap();
        if h2c {
            assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
        }
        assert_eq!(collected.to_bytes(), "message");

        let echo = Request::post("http://hello.shop/echo").body(Full::from("body")).unwrap();
        let echoed = sender.send_request(echo).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(echoed.to_bytes(), "body", "h2c pod: {h2c}");
        let headers = Request::get("http://hello.shop/headers").body(Full::default()).unwrap();
        let seen = sender.send_request(headers).await.unwrap().into_body().collect().await.unwrap().to_bytes();
        let expected = if h2c { "authority: hello.shop" } else { "host: hello.shop" };
        assert!(String::from_utf8_lossy(&seen).lines().any(|line| line == expected), "{seen:?}");
    }
}

#[tokio::test]
async fn http1_to_an_http2_pod() {
    let world = world().await;
    let pod = TestPod::h2c("a").await;
    world.appear(&pod, "r1");
    assert_eq!(world.get("/").await.unwrap().body, "a");
    let headers = world.get("/headers").await.unwrap();
    assert!(headers.body.lines().any(|line| line == "authority: hello.shop"), "{}", headers.body);
}

#[tokio::test]
async fn a_stream_that_a_pod_refuses_goes_out_again() {
    let world = world().await;
    let mut pod = TestPod::raw("a", |stream, _| async move {
        // A probe closes at once.
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        let mut refused = false;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if refused {
                let mut body = respond.send_response(http::Response::new(()), false).unwrap();
                body.send_data(Bytes::from_static(b"ok"), true).unwrap();
            } else {
                refused = true;
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
        }
    })
    .await;
    pod.port_name = "h2c";
    world.appear(&pod, "r1");
    assert_eq!(world.get("/").await.unwrap().body, "ok");
}

/// A pod that takes one stream at once, and ends only those of `/`.
async fn narrow() -> TestPod {
    let mut pod = TestPod::raw("a", |stream, _| async move {
        let mut builder = h2::server::Builder::new();
        // A probe closes at once.
        let Ok(mut connection) = builder.max_concurrent_streams(1).handshake(stream).await else { return };
        let mut open = Vec::new();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let mut body = respond.send_response(http::Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"ok"), request.uri().path() == "/").unwrap();
            open.push(body);
        }
    })
    .await;
    pod.port_name = "h2c";
    pod
}

/// Takes one of its streams.
async fn stall(world: &super::World) -> TcpStream {
    let mut caller = world.caller("GET /stall HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(caller.read_u8().await.unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 200 "));
    caller
}

#[tokio::test]
async fn a_pod_that_takes_few_streams_gets_further_connections() {
    let world = world().await;
    let pod = narrow().await;
    world.appear(&pod, "r1");
    let _stalled = stall(&world).await;
    for _ in 0..3 {
        assert_eq!(world.get("/").await.unwrap().body, "ok");
    }
    // Beside the probe's.
    assert_eq!(pod.connections.load(std::sync::atomic::Ordering::SeqCst), 1 + 2);
}

#[tokio::test]
async fn a_pod_is_not_blamed_for_what_waits_for_a_stream() {
    let world = world_with(json!({"timeouts": {"firstByteSeconds": 1}}), Limits::default()).await;
    let pod = narrow().await;
    world.appear(&pod, "r1");
    let mut stalled = Vec::new();
    for _ in 0..4 {
        stalled.push(stall(&world).await);
    }
    let waiting: Vec<_> = (0..6).map(|_| world.get("/")).collect();
    for reply in waiting {
        assert_eq!(reply.await.unwrap().status, 504);
    }
    assert!(!world.index.pods()[0].pulse.failed(), "the pod is blamed");
}

#[tokio::test]
async fn a_websocket_from_zero() {
    let mut world = world_with(json!({"timeouts": {"requestSeconds": 1}}), Limits::default()).await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    let request = "GET /ws HTTP/1.1\r\nhost: hello.shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    caller.write_all(request.as_bytes()).await.unwrap();
    world.expect_wake("r1", 1).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(caller.read_u8().await.unwrap());
    }
    let head = String::from_utf8(seen).unwrap();
    assert!(head.starts_with("HTTP/1.1 101") && head.contains("upgrade: websocket"), "{head}");
    // It outlives `requestSeconds`, and counts as in flight all the while.
    for word in ["one", "two"] {
        caller.write_all(word.as_bytes()).await.unwrap();
        let mut back = vec![0; word.len()];
        caller.read_exact(&mut back).await.unwrap();
        assert_eq!(back, word.as_bytes());
        tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    }
    assert_eq!(world.index.pods()[0].slots.read().in_flight, 1);
    drop(caller);
    eventually(|| world.index.pods()[0].slots.read().in_flight == 0).await;
}

#[tokio::test]
async fn an_error_page_is_for_grpc_too() {
    let world = world().await;
    let mut request = get("/");
    request.headers_mut().insert("host", "nobody.shop".parse().unwrap());
    request.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
    let reply = world.send(request).await.unwrap();
    assert_eq!((reply.status, reply.headers["grpc-status"].to_str().unwrap()), (200, "12"));
}
