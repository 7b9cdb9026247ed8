//! Callers who go while their requests are held.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::access::Log;
use super::frames::{BEGIN, fields, frame, request};
use super::{SOON, TestPod, World, eventually, world_with};
use crate::args::Limits;

type Going = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How a caller goes.
#[derive(Clone, Copy, Debug)]
enum Exit {
    /// It closes its connection.
    Close,
    /// It closes its side, and would listen.
    HalfClose,
    /// It closes its connection, and the other side gets a reset.
    Reset,
}

impl Exit {
    async fn leave(self, mut caller: TcpStream) {
        match self {
            Self::Close => drop(caller),
            Self::Reset => SockRef::from(&caller).set_linger(Some(std::time::Duration::ZERO)).unwrap(),
            Self::HalfClose => {
                caller.shutdown().await.unwrap();
                // To the end of the connection, whatever comes before it.
                let _ = timeout(SOON, caller.read_to_end(&mut Vec::new())).await.expect("the connection stays open");
            }
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: hello.shop\r\n\r\n";
const MIB: usize = 1024 * 1024;

fn post(header: &str) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nhost: hello.shop\r\n{header}\r\n\r\n").into_bytes()
}

fn sized(declared: usize, sent: usize) -> Vec<u8> {
    [post(&format!("content-length: {declared}")), vec![b'x'; sent]].concat()
}

/// 16 chunks, and no last one.
fn chunked() -> Vec<u8> {
    let chunk = [b"10000\r\n".as_slice(), &[b'x'; 0x10000], b"\r\n"].concat();
    [post("transfer-encoding: chunked"), chunk.repeat(16)].concat()
}

fn h2(frames: &[Vec<u8>]) -> Vec<u8> {
    [BEGIN, &frames.concat()].concat()
}

/// The upload of a stream to the end of its window.
fn upload(stream: u32) -> Vec<u8> {
    let head = frame(1, 4, stream, &fields("POST", "hello.shop", "/"));
    [head, frame(0, 0, stream, &[0; 16384]), frame(0, 0, stream, &[0; 16383])].concat()
}

/// What callers have sent when they go, and how they do.
fn departures() -> Vec<(&'static str, Vec<u8>, Exit)> {
    use Exit::{Close, HalfClose, Reset};
    let get = || GET.as_bytes().to_vec();
    let behind = |first: Vec<u8>| [first, get()].concat();
    let goaway = frame(7, 0, 0, &[0; 8]);
    vec![
        ("no body", get(), Close),
        ("no body, half-closed", get(), HalfClose),
        ("no body, reset", get(), Reset),
        ("a body of 20 KB", sized(9_000_000, 20_000), Close),
        ("a body of 1 MiB", sized(MIB, MIB), Close),
        ("a body of 1 MiB, half-closed", sized(MIB, MIB), HalfClose),
        ("a body of 1 MiB, reset", sized(MIB, MIB), Reset),
        ("half a body of 2 MiB", sized(2 * MIB, MIB), Close),
        ("chunks", chunked(), Close),
        ("chunks, half-closed", chunked(), HalfClose),
        ("chunks, reset", chunked(), Reset),
        ("no body yet", post("content-length: 10\r\nexpect: 100-continue"), Close),
        ("no body yet, half-closed", post("content-length: 10\r\nexpect: 100-continue"), HalfClose),
        ("the next request behind it", behind(get()), Close),
        ("the next request behind it, half-closed", behind(get()), HalfClose),
        ("the next request behind a body", behind(sized(300_000, 300_000)), Close),
        ("half of the next request behind it", [get(), b"GET / HT".to_vec()].concat(), Close),
        ("something that is no request behind it", [get(), b"\0\r\n\r\n".to_vec()].concat(), Reset),
        ("HTTP/2, no body", h2(&[request(1, 5, "hello.shop", "/")]), Close),
        ("HTTP/2, half-closed", h2(&[request(1, 5, "hello.shop", "/")]), HalfClose),
        ("HTTP/2, GOAWAY", h2(&[request(1, 5, "hello.shop", "/"), goaway]), Close),
        ("HTTP/2, an upload", h2(&[upload(1)]), Close),
        ("HTTP/2, an upload, reset", h2(&[upload(1)]), Reset),
    ]
}

/// One request may wait, and the function is woken by whoever does first.
async fn world(most: usize) -> World {
    world_with(json!({"queue": {"maxRequests": most}}), Limits::default()).await
}

/// After one whose caller has gone: it is counted, once, and the next one gets its place and the pod.
async fn is_over(mut world: World, name: &str) {
    world.until_held(0).await;
    let of = "namespace=\"shop\",function=\"hello\",revision=\"r1\"";
    for line in [
        "rouse_activator_client_gone_total 1".to_owned(),
        format!("rouse_activator_function_faults_total{{{of},fault=\"client-gone\"}} 1"),
        format!("rouse_activator_function_requests_total{{{of},class=\"4xx\"}} 1"),
        "rouse_activator_held_requests 0".to_owned(),
        "rouse_activator_held_bytes 0".to_owned(),
    ] {
        eventually(|| world.says(&line)).await;
    }
    assert!(
        !world.metrics().contains("rouse_activator_faults_total{fault=\"client-gone\"}"),
        "{name}: it had an answer"
    );
    let next = world.get("/next");
    world.until_held(1).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(next.await.unwrap().status, 200, "{name}");
    assert_eq!(pod.seen(), ["GET /next"], "{name}");
    // The wake stands, and is not said again.
    world.expect_silence().await;
}

#[tokio::test]
async fn a_caller_who_goes_frees_its_place_whatever_it_has_sent() {
    for (name, bytes, exit) in departures() {
        let mut world = world(1).await;
        let mut caller = TcpStream::connect(world.address).await.unwrap();
        timeout(SOON, caller.write_all(&bytes)).await.expect(name).unwrap();
        world.expect_wake("r1", 1).await;
        world.deployment("r1", 1);
        assert_eq!(world.held(), 1, "{name}");
        let going: Going = Box::pin(exit.leave(caller));
        let going = tokio::spawn(going);
        is_over(world, name).await;
        going.await.unwrap();
    }
}

#[tokio::test]
async fn a_reset_is_noticed_behind_any_body() {
    let mut world = world(1).await;
    let caller = TcpStream::connect(world.address).await.unwrap();
    SockRef::from(&caller).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    let (read, mut write) = caller.into_split();
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let writing = tokio::spawn(async move {
        write.write_all(&post("content-length: 1000000000")).await.unwrap();
        loop {
            write.write_all(&[b'x'; 1000]).await.unwrap();
            count.fetch_add(1000, Ordering::SeqCst);
        }
    });
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    // As much as is read ahead, and as the sockets take.
    eventually(|| sent.load(Ordering::SeqCst) > MIB + 100_000).await;
    let mut before = 0;
    while std::mem::replace(&mut before, sent.load(Ordering::SeqCst)) != sent.load(Ordering::SeqCst) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    assert!(sent.load(Ordering::SeqCst) < 20 * MIB, "it is read without end");
    assert_eq!(world.held(), 1);
    drop(read);
    writing.abort();
    is_over(world, "a long body").await;
}

#[tokio::test]
async fn one_stream_goes_and_the_others_stay() {
    let mut world = world(3).await;
    let mut raw = super::frames::Raw::open(world.address).await;
    let streams = [request(1, 5, "hello.shop", "/1"), upload(3), request(5, 5, "hello.shop", "/5")];
    assert!(raw.send(&streams.concat()).await);
    world.expect_wake("r1", 1).await;
    world.deployment("r1", 1);
    world.until_held(3).await;
    // CANCEL.
    assert!(raw.send(&frame(3, 0, 3, &[0, 0, 0, 8])).await);
    world.until_held(2).await;
    eventually(|| world.says("rouse_activator_client_gone_total 1")).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let answers = |raw: &super::frames::Raw| raw.seen().iter().filter(|frame| frame[3] == 1).count();
    eventually(|| answers(&raw) == 2).await;
    let mut seen = pod.seen();
    seen.sort();
    assert_eq!(seen, ["GET /1", "GET /5"]);
    assert!(world.says("rouse_activator_client_gone_total 1"));
}

#[tokio::test]
async fn a_caller_who_goes_has_a_line_in_the_log() {
    for (bytes, name) in [(GET.as_bytes().to_vec(), "no body"), (sized(MIB, MIB), "a body")] {
        let (log, _guard) = Log::start(&["--access-log=true"]);
        let mut world = world(1).await;
        let mut caller = TcpStream::connect(world.address).await.unwrap();
        caller.write_all(&bytes).await.unwrap();
        world.expect_wake("r1", 1).await;
        drop(caller);
        world.until_held(0).await;
        eventually(|| log.lines().len() == 1).await;
        let line = &log.lines()[0];
        assert_eq!((&line["status"], &line["fault"]), (&json!(499), &json!("client-gone")), "{name}");
        let said = log.said("A request was not answered by its function.");
        assert_eq!(said.len(), 1, "{name}");
        for (field, value) in [
            ("status", json!(499)),
            ("fault", json!("client-gone")),
            ("phase", json!("hold")),
            ("function", json!("shop/hello")),
            ("request_id", line["request_id"].clone()),
        ] {
            assert_eq!(said[0][field], value, "{name}: {field}");
        }
    }
}

#[tokio::test]
async fn what_comes_while_a_request_is_held_reaches_the_pod_as_it_came() {
    let mut world = world(1).await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    // Every byte tells its place, roughly.
    let body: Vec<u8> = (0..2 * MIB).map(|at| b'a' + (at / 7 % 26) as u8).collect();
    let head = format!("POST /echo HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: {}\r\n\r\n", body.len());
    let behind = GET.replace("GET / ", "GET /behind ");
    let all = [head.as_bytes(), &body, behind.as_bytes()].concat();
    let (mut read, mut write) = caller.split();
    let answered = async {
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\na") {
            let mut more = vec![0; 1 << 16];
            let came = read.read(&mut more).await.unwrap();
            assert_ne!(came, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend(&more[..came]);
        }
        seen
    };
    let wake = async {
        world.expect_wake("r1", 1).await;
        // As much of it as is read ahead is.
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let pod = TestPod::start("a").await;
        world.appear(&pod, "r1");
        pod
    };
    let all = async { write.write_all(&all).await.unwrap() };
    let (seen, pod, ()) = timeout(SOON, async { tokio::join!(answered, wake, all) }).await.expect("no answer");
    let start = seen.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert!(seen[start..start + body.len()] == body, "the body is not the same");
    assert_eq!(pod.seen(), ["POST /echo", "GET /behind"]);
}
