//! `requestSeconds`, and callers that do not take what they asked for.

use std::io::ErrorKind;
use std::time::Duration;

use http::Request;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SOON, TestPod, World, eventually, frames, world, world_with};
use crate::args::Limits;
use crate::clock;

/// A world with this pod ready, and two seconds for each exchange.
async fn brief(pod: &TestPod) -> World {
    let mut world = world_with(json!({"timeouts": {"requestSeconds": 2}}), Limits::default()).await;
    world.deployment("r1", 1);
    world.appear(pod, "r1");
    eventually(|| world.index.pods().iter().all(|pod| pod.is_ready())).await;
    world
}

impl World {
    /// Requests at the one pod, and of the function.
    pub(crate) fn present(&self) -> (u64, u64) {
        let functions = self.index.functions();
        (self.index.pods()[0].slots.read().in_flight, functions[0].totals.read(clock::now()).in_flight)
    }

    pub(crate) async fn caller(&self, text: &str) -> TcpStream {
        let mut caller = TcpStream::connect(self.address).await.unwrap();
        caller.write_all(text.as_bytes()).await.unwrap();
        caller
    }
}

/// What comes up to the end of the connection, which is a reset.
async fn until_reset(caller: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let ended = timeout(SOON, caller.read_to_end(&mut seen)).await.expect("the connection stays open");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    String::from_utf8_lossy(&seen).into_owned()
}

#[tokio::test]
async fn a_caller_that_reads_nothing_pins_nothing_beyond_the_deadline() {
    for pod in [TestPod::start("a").await, TestPod::h2c("a").await] {
        let world = brief(&pod).await;
        let mut caller = world.caller("GET /endless HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await;
        eventually(|| world.present() == (1, 1)).await;
        eventually(|| world.present() == (0, 0)).await;
        let seen = until_reset(&mut caller).await;
        assert!(seen.is_empty() || seen.starts_with("HTTP/1.1 200 OK"), "{}", seen.len());
    }
}

#[tokio::test]
async fn a_caller_that_reads_on_and_on_is_stopped_too() {
    let pod = TestPod::start("a").await;
    let world = brief(&pod).await;
    // For a caller of HTTP/1.0 the end of the connection is the end of the response: only a reset tells the difference.
    let mut caller = world.caller("GET /endless HTTP/1.0\r\nhost: hello.shop\r\n\r\n").await;
    assert!(until_reset(&mut caller).await.starts_with("HTTP/1.0 200 OK"));
    eventually(|| world.present() == (0, 0)).await;
}

#[tokio::test]
async fn an_upload_that_stops_ends_at_the_deadline() {
    let pod = TestPod::start("a").await;
    let world = brief(&pod).await;
    // The pod answers while it still reads.
    let mut caller = world.caller("POST /echo HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 100\r\n\r\nhalf").await;
    let mut seen = String::new();
    timeout(SOON, caller.read_to_string(&mut seen)).await.expect("the connection stays open").unwrap();
    assert!(
        seen.starts_with("HTTP/1.1 200 OK") && seen.contains("content-length: 100") && seen.ends_with("half"),
        "{seen}"
    );
    eventually(|| world.present() == (0, 0)).await;
    // It answers afterwards.
    let mut caller = world.caller("POST /count HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 100\r\n\r\nhalf").await;
    let mut seen = vec![0; 4096];
    let read = timeout(SOON, caller.read(&mut seen)).await.unwrap().unwrap();
    assert!(seen[..read].starts_with(b"HTTP/1.1 504"), "{:?}", String::from_utf8_lossy(&seen[..read]));
    eventually(|| world.present() == (0, 0)).await;
}

#[tokio::test]
async fn a_stream_without_window_is_reset_alone() {
    let pod = TestPod::start("a").await;
    let world = brief(&pod).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    // The connection has room for all: it is the stream that gets none.
    let builder = builder.initial_window_size(1000).initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = |path| Request::get(format!("http://hello.shop{path}")).body(()).unwrap();
    let stalled = sender.send_request(request("/endless"), true).unwrap().0;
    let mut stalled = stalled.await.unwrap().into_body();
    eventually(|| world.present() == (1, 1)).await;
    // No window is given back for what comes.
    let reset = async {
        loop {
            match stalled.data().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return error.reason(),
                None => panic!("it looks whole"),
            }
        }
    };
    assert_eq!(timeout(SOON, reset).await.unwrap(), Some(h2::Reason::CANCEL));
    eventually(|| world.present() == (0, 0)).await;

    let mut next = sender.ready().await.unwrap();
    let answer = next.send_request(request("/"), true).unwrap().0;
    let mut body = timeout(SOON, answer).await.unwrap().unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "a");
}

#[tokio::test]
async fn a_stream_without_window_for_an_answer_of_ours_is_reset_too() {
    let limits = Limits { header_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    let (sender, connection) = builder.initial_window_size(0).handshake::<_, bytes::Bytes>(stream).await.unwrap();
    tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    let request = Request::get("http://nobody.shop/").body(()).unwrap();
    let answer = sender.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(answer.status(), 404);
    let ended = timeout(SOON, answer.into_body().data()).await.expect("the stream stays open");
    assert_eq!(ended.expect("it looks whole").unwrap_err().reason(), Some(h2::Reason::CANCEL));
}

#[tokio::test]
async fn a_stream_that_is_quiet_both_ways_is_reset_too() {
    for pod in [TestPod::start("a").await, TestPod::h2c("a").await] {
        let world = brief(&pod).await;
        let stream = TcpStream::connect(world.address).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut sender = sender.ready().await.unwrap();
        let request = Request::post("http://hello.shop/converse").body(()).unwrap();
        let (answer, mut upload) = sender.send_request(request, false).unwrap();
        upload.send_data("half".into(), false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        assert_eq!(body.data().await.unwrap().unwrap(), "half");
        let ended = timeout(SOON, body.data()).await.expect("the stream stays open");
        assert!(ended.expect("it looks whole").unwrap_err().is_reset());
        eventually(|| world.present() == (0, 0)).await;
        // The pod has heard of it.
        eventually(|| pod.seen() == ["POST /converse", "ended"]).await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_not_waited_for() {
    let limits = Limits { head_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let whole = "GET / HTTP/1.1\r\nhost: nobody.shop\r\n\r\n";
    for before in ["", whole] {
        let mut caller = world.caller(&format!("{before}GET / HTTP/1.1\r\nhost: nobo")).await;
        // A byte now and then does not help.
        let drip = async {
            while caller.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        timeout(SOON, drip).await.expect("the connection stays open");
    }
    // A connection without a request is another matter, and so is one whose head came in time.
    let mut caller = world.caller(whole).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    caller.write_all(whole.as_bytes()).await.unwrap();
    eventually_answers(&mut caller, 2).await;
}

#[tokio::test]
async fn fields_over_http2_that_do_not_end_are_not_waited_for() {
    let limits = Limits { head_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let whole = frames::request(1, 5, "nobody.shop", "/");
    let cut = &whole[..whole.len() - 5];
    for (part, drip) in [
        // The connection's own beginning, a frame, and a block of fields in several of them; the first two with a byte now
        // and then.
        (b"PRI * HTTP/2.0\r\n\r\n".to_vec(), b"".to_vec()),
        ([frames::BEGIN, cut].concat(), b"".to_vec()),
        ([frames::BEGIN, cut].concat(), b"x".to_vec()),
        ([frames::BEGIN, &frames::request(1, 1, "nobody.shop", "/")].concat(), b"".to_vec()),
    ] {
        let mut caller = world.caller("").await;
        caller.write_all(&part).await.unwrap();
        let ended = async {
            let mut drips = drip.chunks(1);
            let mut waste = [0; 100];
            loop {
                tokio::select! {
                    read = caller.read(&mut waste) => if let Ok(0) | Err(_) = read { return },
                    () = tokio::time::sleep(Duration::from_millis(300)) => {
                        let _ = caller.write_all(drips.next().unwrap_or_default()).await;
                    }
                }
            }
        };
        timeout(SOON, ended).await.expect("the connection stays open");
    }
    // One that is whole may rest.
    let mut raw = frames::Raw::open(world.address).await;
    assert!(raw.send(&whole).await);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(raw.send(&frames::request(3, 5, "nobody.shop", "/")).await);
    eventually(|| raw.seen().iter().filter(|frame| frame[3] == 1).count() == 2).await;
}

#[tokio::test]
async fn heads_one_after_the_other_are_not_one_that_does_not_end() {
    // Between two pieces there is time for a pause of the whole machine.
    let limits = Limits { head_timeout: Duration::from_secs(4), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let http1 = vec![b"GET / HTTP/1.1\r\nhost: nobody.shop\r\n\r\n".to_vec(); 30];
    let http2: Vec<Vec<u8>> = (0..30).map(|number| frames::request(2 * number + 1, 5, "nobody.shop", "/")).collect();
    tokio::join!(
        one_after_the_other(&world, b"", &http1, "HTTP/1.1 404"),
        one_after_the_other(&world, frames::BEGIN, &http2, "no-such-function"),
    );
}

/// Sends heads in pieces, every one of which ends in the middle of a head, for twice as long as a head may take.
async fn one_after_the_other(world: &World, begin: &[u8], heads: &[Vec<u8>], answers: &str) {
    let (mut read, mut write) = world.caller("").await.into_split();
    let bytes = [begin, &heads.concat()].concat();
    let pieces: Vec<Vec<u8>> = bytes.chunks(bytes.len() / 28).map(<[u8]>::to_vec).collect();
    let sending = tokio::spawn(async move {
        for piece in pieces {
            write.write_all(&piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        write
    });
    let (mut seen, mut buffer) = (Vec::new(), vec![0; 4096]);
    while String::from_utf8_lossy(&seen).matches(answers).count() < heads.len() {
        let more = timeout(SOON, read.read(&mut buffer)).await.expect("no answer").unwrap();
        assert!(more > 0, "the connection was closed");
        seen.extend_from_slice(&buffer[..more]);
    }
    sending.await.unwrap();
}

/// Waits for so many answers.
pub(super) async fn eventually_answers(caller: &mut TcpStream, count: usize) {
    let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
    while String::from_utf8_lossy(&seen).matches("HTTP/1.1 404").count() < count {
        let read = timeout(SOON, caller.read(&mut buffer)).await.expect("no answer").unwrap();
        assert!(read > 0, "the connection was closed");
        seen.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test]
async fn a_caller_that_takes_no_answers_is_let_go() {
    let limits = Limits { header_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    // Requests that are answered here: no exchange with a pod, and so no deadline.
    let mut caller = world.caller("").await;
    let requests = "GET / HTTP/1.1\r\nhost: nobody.shop\r\n\r\n".repeat(1000);
    let broken = async { while caller.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(SOON, broken).await.expect("the connection stays open");
}

#[tokio::test]
async fn what_a_pod_breaks_off_never_looks_whole() {
    let pod = TestPod::raw("a", |mut stream, _| async move {
        let mut head = [0; 1024];
        if let Ok(1..) = stream.read(&mut head).await {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
        }
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = world.caller("GET / HTTP/1.0\r\nhost: hello.shop\r\n\r\n").await;
    assert!(until_reset(&mut caller).await.starts_with("HTTP/1.0 200 OK"));
}

#[tokio::test]
async fn what_the_end_of_a_drain_cuts_never_looks_whole() {
    let pod = TestPod::start("a").await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = world.caller("GET /stall HTTP/1.0\r\nhost: hello.shop\r\n\r\n").await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"half") {
        seen.push(timeout(SOON, caller.read_u8()).await.unwrap().unwrap());
    }
    world.stop.cancel();
    world.cut.cancel();
    assert_eq!(until_reset(&mut caller).await, "");
}

#[tokio::test]
async fn an_http2_connection_that_is_not_used_is_closed() {
    let limits = Limits { header_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({"timeouts": {"requestSeconds": 2}}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    // Not even the preface is said to its end.
    let mut silent = world.caller("PRI * HTTP/2.0\r\n").await;

    let stream = TcpStream::connect(world.address).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let ended = tokio::spawn(connection);
    let mut sender = sender.ready().await.unwrap();
    // A stream is use, for as long as it is open.
    let request = Request::get("http://hello.shop/never").body(()).unwrap();
    let answer = sender.send_request(request, true).unwrap().0;
    assert_eq!(timeout(SOON, answer).await.unwrap().unwrap().status(), 504);
    timeout(SOON, ended).await.expect("the connection stays open").unwrap().unwrap();

    let mut seen = Vec::new();
    timeout(2 * SOON, silent.read_to_end(&mut seen)).await.expect("the connection stays open").unwrap();
}

#[tokio::test]
async fn a_window_may_be_opened_as_late_as_the_answer_may_end() {
    const LENGTH: usize = 2000;
    let limits = Limits { header_timeout: Duration::from_secs(1), ..Limits::default() };
    let world = world_with(json!({"timeouts": {"requestSeconds": 30}}), limits).await;
    let pod = TestPod::raw("a", |mut stream, _| async move {
        if let Ok(1..) = stream.read(&mut [0; 1024]).await {
            let answer =
                [format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n").as_bytes(), &[b'x'; LENGTH]].concat();
            stream.write_all(&answer).await.unwrap();
        }
    })
    .await;
    world.appear(&pod, "r1");
    let mut raw = frames::Raw::open(world.address).await;
    // Windows of 1,000 bytes.
    assert!(raw.send(&frames::frame(4, 0, 0, &[0, 4, 0, 0, 3, 0xe8])).await);
    assert!(raw.send(&frames::request(1, 5, "hello.shop", "/")).await);
    let data =
        |raw: &frames::Raw| raw.seen().iter().filter(|frame| frame[3] == 0).map(|frame| frame.len() - 9).sum::<usize>();
    eventually(|| data(&raw) == 1000 && world.present() == (0, 0)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!raw.seen().iter().any(|frame| frame[3] == 7), "it is told to go");
    assert!(raw.send(&frames::frame(8, 0, 1, &[0, 0, 0xff, 0xff])).await);
    eventually(|| data(&raw) == LENGTH).await;
    assert!(raw.seen().iter().any(|frame| frame[3] == 0 && frame[4] & 1 == 1), "it does not end");
    // Now it is not used any more.
    assert_eq!(raw.goaway().await, Some(0));
}

#[tokio::test]
async fn a_response_that_does_not_begin_has_a_limit_of_its_own() {
    let world = world_with(json!({"timeouts": {"firstByteSeconds": 1}}), Limits::default()).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let reply = world.get("/never").await.unwrap();
    assert_eq!((reply.status, &reply.problem()["limitMs"]), (504, &json!(1000)));
    // One that has begun goes on.
    let mut caller = world.caller("GET /stall HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(world.present(), (1, 1));
    assert_eq!(timeout(SOON, caller.read_u8()).await.unwrap().unwrap(), b'H');
}
