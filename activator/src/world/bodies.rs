//! Bodies: streamed, left with the sender, limited.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SOON, TestPod, eventually, post, until_ends, world, world_with};
use crate::args::Limits;

#[tokio::test]
async fn ten_mebibytes_both_ways() {
    let world = world().await;
    for pod in [TestPod::start("a").await, TestPod::h2c("b").await] {
        world.appear(&pod, "r1");
        let body: Vec<u8> = (0..10 << 20).map(|i| (i % 251) as u8).collect();
        let sent = Bytes::from(body);
        let request = Request::post("/echo").header("host", "hello.shop").body(Full::new(sent.clone())).unwrap();
        let stream = TcpStream::connect(world.address).await.unwrap();
        let io = hyper_util::rt::TokioIo::new(stream);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::spawn(connection);
        let response = timeout(super::SOON, sender.send_request(request)).await.unwrap().unwrap();
        let back = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
        assert!(back == sent, "{} bytes came back", back.len());
        world.delete(&pod, "r1");
    }
}

#[tokio::test]
async fn a_held_body_stays_with_its_sender() {
    let mut world = world().await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(b"POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 50000000\r\n\r\n").await.unwrap();
    let chunk = vec![1; 1 << 20];
    let mut written = 0usize;
    // The socket's buffers fill up, and that is all that goes out.
    while let Ok(Ok(more)) = timeout(Duration::from_millis(100), caller.write(&chunk)).await {
        written += more;
        assert!(written < 20_000_000, "somebody reads");
    }
    world.expect_wake("r1", 1).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    while written < 50_000_000 {
        let most = chunk.len().min(50_000_000 - written);
        written += caller.write(&chunk[..most]).await.unwrap();
    }
    let reply = until_ends(&mut caller, "50000000").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
}

#[tokio::test]
async fn continue_is_said_when_the_pod_asks_for_the_body() {
    let mut world = world().await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /count HTTP/1.1\r\nhost: hello.shop\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    caller.write_all(head.as_bytes()).await.unwrap();
    world.expect_wake("r1", 1).await;
    let mut said = [0; 25];
    let early = timeout(Duration::from_millis(100), caller.read(&mut said)).await;
    assert!(early.is_err(), "nothing is said while the request is held");
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    timeout(SOON, caller.read_exact(&mut said)).await.expect("nothing is said").unwrap();
    assert_eq!(&said, b"HTTP/1.1 100 Continue\r\n\r\n");
    caller.write_all(b"hello").await.unwrap();
    let reply = until_ends(&mut caller, "\r\n\r\n5").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
}

#[tokio::test]
async fn a_pod_may_answer_without_the_body() {
    let world = world().await;
    let pod = TestPod::raw("a", |mut stream, _| async move {
        let mut buffer = [0; 1024];
        if let Ok(1..) = stream.read(&mut buffer).await {
            stream.write_all(b"HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
            // Not before the answer was read.
            let _ = stream.read(&mut buffer).await;
        }
    })
    .await;
    world.appear(&pod, "r1");
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: hello.shop\r\nexpect: 100-continue\r\ncontent-length: 5000000\r\n\r\n";
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 1024];
    let read = caller.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..read]).starts_with("HTTP/1.1 401"), "{:?}", &buffer[..read]);
}

#[tokio::test]
async fn an_http2_pod_that_answers_whole_is_sent_nothing_more() {
    let (told, mut ended) = tokio::sync::mpsc::channel(1);
    let mut pod = TestPod::raw("a", move |stream, _| {
        let told = told.clone();
        async move {
            // A probe closes at once.
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                respond.send_response(http::Response::new(()), true).unwrap();
                let told = told.clone();
                // Kept, and not given up with a reset of its own.
                let mut upload = request.into_body();
                tokio::spawn(async move {
                    let end = loop {
                        match upload.data().await {
                            Some(Ok(_)) => {}
                            end => break end,
                        }
                    };
                    told.send(end.map(|end| end.unwrap_err().reason())).await.unwrap();
                });
            }
        }
    })
    .await;
    pod.port_name = "h2c";
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(b"POST / HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 100\r\n\r\nhalf").await.unwrap();
    // The caller says nothing more, and its connection is closed all the same.
    let mut seen = String::new();
    timeout(super::SOON, caller.read_to_string(&mut seen)).await.expect("the connection stays open").unwrap();
    assert!(seen.starts_with("HTTP/1.1 200 OK"), "{seen}");
    let end = timeout(super::SOON, ended.recv()).await.expect("the stream stays open").unwrap();
    assert!(matches!(end, Some(Some(_))), "it does not look whole: {end:?}");
    eventually(|| world.index.pods()[0].slots.read().in_flight == 0).await;
}

#[tokio::test]
async fn a_body_has_a_limit_said_or_counted() {
    let limits = Limits { max_body_bytes: 10, ..Limits::default() };
    let world = world_with(serde_json::json!({}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(world.send(post("/echo", "0123456789")).await.unwrap().status, 200);
    assert_eq!(world.send(post("/echo", "0123456789a")).await.unwrap().status, 413);
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    let head = "POST /count HTTP/1.1\r\nhost: hello.shop\r\ntransfer-encoding: chunked\r\n\r\n";
    caller.write_all(head.as_bytes()).await.unwrap();
    caller.write_all(b"b\r\n0123456789a\r\n0\r\n\r\n").await.unwrap();
    let mut buffer = vec![0; 1024];
    let read = caller.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..read]).starts_with("HTTP/1.1 413"), "{:?}", &buffer[..read]);
    eventually(|| world.index.pods()[0].slots.read().in_flight == 0).await;
}
