//! What happens on one connection to a pod when it is not a request and then a response.

use std::sync::atomic::Ordering;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::{SOON, TestPod, World, eventually, world};

/// Connections by which a pod is proved ready.
const PROBE: u32 = 1;
/// Longer than what the sockets on its way hold.
const LONG: usize = 32 << 20;

/// Reads a head.
async fn head(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => seen.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(seen).unwrap()
}

async fn caller(world: &World, head: &str) -> TcpStream {
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(format!("{head}host: hello.shop\r\n\r\n").as_bytes()).await.unwrap();
    caller
}

#[tokio::test]
async fn a_request_goes_on_while_nobody_reads_its_response() {
    let (told, mut got) = mpsc::channel(1);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let told = told.clone();
        async move {
            if head(&mut stream).await.is_empty() {
                return;
            }
            let (mut read, mut write) = stream.split();
            let answers = async {
                write.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\n").as_bytes()).await.unwrap();
                write.write_all(&vec![b'y'; LONG]).await.unwrap();
            };
            let reads = async {
                read.read_exact(&mut vec![0; LONG]).await.unwrap();
                told.send(()).await.unwrap();
            };
            tokio::join!(answers, reads);
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = caller(&world, &format!("POST / HTTP/1.1\r\ncontent-length: {LONG}\r\n")).await;
    assert!(head(&mut caller).await.starts_with("HTTP/1.1 200 "));
    timeout(SOON, caller.write_all(&vec![b'x'; LONG])).await.expect("the request stands still").unwrap();
    timeout(SOON, got.recv()).await.expect("the pod does not get all of it");
    timeout(SOON, caller.read_exact(&mut vec![0; LONG])).await.expect("the response does not come").unwrap();
}

#[tokio::test]
async fn a_connection_is_used_again_after_a_stream_both_ways() {
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<()>>(1);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let asks = asks.clone();
        async move {
            while !head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await.unwrap();
                stream.read_exact(&mut [0; 5]).await.unwrap();
                let (goes, go) = oneshot::channel();
                asks.send(goes).await.unwrap();
                go.await.unwrap();
                stream.write_all(b"k").await.unwrap();
            }
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    for _ in 0..2 {
        let mut caller = caller(&world, "POST / HTTP/1.1\r\ncontent-length: 5\r\n").await;
        head(&mut caller).await;
        caller.write_all(b"hello").await.unwrap();
        timeout(SOON, asked.recv()).await.expect("the request does not get there").unwrap().send(()).unwrap();
        let mut body = [0; 2];
        timeout(SOON, caller.read_exact(&mut body)).await.expect("the response does not end").unwrap();
        assert_eq!(&body, b"ok");
    }
    assert_eq!(pod.connections.load(Ordering::SeqCst), 1 + PROBE);
}

#[tokio::test]
async fn what_a_pod_says_before_it_is_asked_is_no_answer() {
    let pod = TestPod::raw("a", |mut stream, _| async move {
        while !head(&mut stream).await.is_empty() {
            let answers = ["right", "wrong"].map(|body| format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{body}"));
            let _ = stream.write_all(answers.concat().as_bytes()).await;
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    for number in 1..=2 {
        assert_eq!(world.get("/").await.unwrap().body, "right");
        assert_eq!(pod.connections.load(Ordering::SeqCst), number + PROBE);
    }
}

#[tokio::test]
async fn a_request_of_which_nothing_went_out_goes_to_another_connection() {
    let (closes, close) = oneshot::channel();
    let close = std::sync::Mutex::new(Some(close));
    let (told, mut closed) = mpsc::channel(1);
    let pod = TestPod::raw("a", move |mut stream, number| {
        let close: Option<oneshot::Receiver<()>> = if number == PROBE { close.lock().unwrap().take() } else { None };
        let told = told.clone();
        async move {
            if !head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
            if let Some(close) = close {
                close.await.unwrap();
                drop(stream);
                told.send(()).await.unwrap();
            }
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    assert_eq!(world.get("/").await.unwrap().status, 200);
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut caller, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // It says that it has no body, and not that it has ended.
    let request = http::Request::post("http://hello.shop/").header("content-length", "0").body(()).unwrap();
    let (response, mut upload) = caller.send_request(request, false).unwrap();
    let in_flight = || world.index.pods()[0].slots.read().in_flight == 1;
    eventually(in_flight).await;
    closes.send(()).unwrap();
    closed.recv().await.unwrap();
    // Not before the end has come through.
    eventually(|| pod.connections.load(Ordering::SeqCst) > 1 + PROBE).await;
    upload.send_data(bytes::Bytes::new(), true).unwrap();
    let response = timeout(SOON, response).await.expect("no answer").unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_whole_answer_does_not_stop_the_request() {
    let (told, mut got) = mpsc::channel(1);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let told = told.clone();
        async move {
            if !head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                let _ = told.send(stream.read_exact(&mut [0; 5]).await.is_ok()).await;
                assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "the connection is not used again");
            }
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = caller(&world, "POST / HTTP/1.1\r\ncontent-length: 5\r\n").await;
    assert!(head(&mut caller).await.starts_with("HTTP/1.1 202 "));
    caller.write_all(b"hello").await.unwrap();
    assert_eq!(timeout(SOON, got.recv()).await.expect("the rest does not get there"), Some(true));
    eventually(|| world.index.pods()[0].pool().unwrap().connections().open == 0).await;
}

#[tokio::test]
async fn a_response_that_is_given_up_ends_the_request() {
    let (told, mut ended) = mpsc::channel(1);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let told = told.clone();
        async move {
            if !head(&mut stream).await.is_empty() {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await.unwrap();
                while let Ok(1..) = stream.read(&mut [0; 64]).await {}
                told.send(()).await.unwrap();
            }
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = caller(&world, "POST / HTTP/1.1\r\ncontent-length: 5\r\n").await;
    head(&mut caller).await;
    drop(caller);
    timeout(SOON, ended.recv()).await.expect("the pod waits for the rest");
}

/// What a pod gets of a request.
async fn got(request: &str) -> String {
    let (told, mut got) = mpsc::channel(1);
    let pod = TestPod::raw("a", move |mut stream, _| {
        let told = told.clone();
        async move {
            let mut seen = head(&mut stream).await;
            if seen.is_empty() {
                return;
            }
            while seen.contains("chunked") && !seen.ends_with("0\r\n\r\n") && !seen.ends_with("1\r\n\r\n") {
                seen += &head(&mut stream).await;
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            told.send(seen).await.unwrap();
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    // One that is held is written anew.
    eventually(|| world.index.pods()[0].is_ready()).await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(request.as_bytes()).await.unwrap();
    timeout(SOON, got.recv()).await.expect("nothing comes").unwrap()
}

#[tokio::test]
async fn a_url_without_a_path_has_one_at_the_pod() {
    for (url, target) in
        [("http://hello.shop?x=1", "/?x=1"), ("http://hello.shop", "/"), ("/?x=1", "/?x=1"), ("/", "/")]
    {
        let got = got(&format!("GET {url} HTTP/1.1\r\nHost: hello.shop\r\n\r\n")).await;
        assert!(got.starts_with(&format!("GET {target} HTTP/1.1\r\n")), "{url}: {got}");
    }
}

#[tokio::test]
async fn trailers_of_a_request_are_those_that_it_announces() {
    let body = "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Other: 1\r\nHost: other.shop\r\n\r\n";
    for (announces, trailers) in [
        ("", ""),
        ("Trailer: x-sum\r\n", "x-sum: 1\r\n"),
        ("Trailer: a, X-Other\r\nTrailer: X-Sum\r\n", "x-sum: 1\r\nx-other: 1\r\n"),
        ("Trailer: x-sum\r\nConnection: trailer\r\n", ""),
    ] {
        let head = format!("POST / HTTP/1.1\r\nHost: hello.shop\r\nTransfer-Encoding: chunked\r\n{announces}\r\n");
        let got = got(&(head + body)).await;
        assert!(got.ends_with(&format!("\r\n\r\n5\r\nhello\r\n0\r\n{trailers}\r\n")), "{announces}: {got}");
    }
}

/// It reads the head, answers up to the last byte, waits if it is to, says the rest, and resets the connection, in which more
/// of the request is than it ever reads.
async fn breaks_off(mut stream: TcpStream, waits: Option<oneshot::Receiver<()>>) {
    if head(&mut stream).await.is_empty() {
        return;
    }
    // Until as much of the request has come as will.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let answer = b"HTTP/1.1 413 No\r\ncontent-length: 2\r\n\r\nno";
    let (first, last) = answer.split_at(if waits.is_some() { answer.len() - 1 } else { 0 });
    stream.write_all(first).await.unwrap();
    if let Some(waits) = waits {
        waits.await.unwrap();
    }
    stream.write_all(last).await.unwrap();
}

#[tokio::test]
async fn a_pod_that_takes_no_more_of_a_request_may_answer_it() {
    for begins in [false, true] {
        let (goes, go) = oneshot::channel();
        let (mut goes, go) = (Some(goes), std::sync::Mutex::new(Some(go)));
        let pod = TestPod::raw("a", move |stream, number| {
            // The first connection is the probe's.
            let waits = if begins && number == PROBE { go.lock().unwrap().take() } else { None };
            breaks_off(stream, waits)
        })
        .await;
        let world = world().await;
        world.appear(&pod, "r1");
        let caller = caller(&world, &format!("POST / HTTP/1.1\r\ncontent-length: {LONG}\r\n")).await;
        let (mut reads, mut writes) = caller.into_split();
        // It stands still, and ends with the connection.
        let sending = tokio::spawn(async move { writes.write_all(&vec![b'x'; LONG]).await });
        let mut seen = Vec::new();
        timeout(SOON, async {
            while !seen.ends_with(b"no") {
                seen.push(reads.read_u8().await.unwrap());
                if seen.ends_with(b"\r\n\r\n")
                    && let Some(goes) = goes.take().filter(|_| begins)
                {
                    goes.send(()).unwrap();
                }
            }
        })
        .await
        .expect("no answer");
        assert!(seen.starts_with(b"HTTP/1.1 413 "), "{}", seen.escape_ascii());
        sending.abort();
    }
}
