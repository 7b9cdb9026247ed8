//! Requests that are sent once more, and those that are not.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::warm::head;
use super::{SOON, TestPod, World, eventually, get, post, until_ends, world_with};
use crate::args::Limits;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A world with these pods ready. The first one in order of their names gets what comes first.
async fn ready(pods: &[&TestPod], spec: Value, limits: Limits) -> World {
    let mut world = world_with(spec, limits).await;
    world.deployment("r1", i32::try_from(pods.len()).unwrap());
    for pod in pods {
        world.appear(pod, "r1");
    }
    eventually(|| world.index.pods().len() == pods.len() && world.index.pods().iter().all(|pod| pod.is_ready())).await;
    world
}

/// A pod that reads a head and this much behind it, says something, and is gone. Everything that came is in the log.
async fn breaks(uid: &str, behind: usize, says: &'static [u8]) -> (TestPod, Arc<Mutex<Vec<u8>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    let pod = TestPod::raw(uid, move |mut stream, _| {
        let seen = Arc::clone(&seen);
        async move {
            let mut came = Vec::new();
            let whole = |came: &[u8]| {
                let head = came.windows(4).position(|four| four == b"\r\n\r\n");
                head.is_some_and(|head| came.len() >= head + 4 + behind)
            };
            while !whole(&came) {
                match stream.read_u8().await {
                    Ok(byte) => came.push(byte),
                    Err(_) => return,
                }
            }
            seen.lock().unwrap().extend(came);
            let _ = stream.write_all(says).await;
        }
    })
    .await;
    (pod, log)
}

fn put(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::put("/x?y").header("host", "hello.shop").body(Full::new(body.into())).unwrap()
}

/// Everything that came, with one request to each pod: the same in both places.
async fn assert_same(caller: &[u8], behind: usize) {
    let (a, first) = breaks("a", behind, b"").await;
    let (b, second) = breaks("b", behind, OK).await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(caller).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 200");
    let (first, second) = (first.lock().unwrap().clone(), second.lock().unwrap().clone());
    assert!(first.len() > behind, "it came to nobody");
    assert_eq!(String::from_utf8_lossy(&first), String::from_utf8_lossy(&second));
    assert!(world.says("rouse_activator_retries_total{cause=\"lost\",outcome=\"Sent\"} 1"));
}

#[tokio::test]
async fn what_is_sent_again_is_the_same_to_the_last_byte() {
    let fields = "host: hello.shop\r\nb: 2\r\nte: trailers\r\nconnection: x, te\r\nx: 1\r\na: 1\r\na: 3\r\ncookie: c=1\r\n\
                  cookie: d=2\r\nz: 4\r\nkeep-alive: 5\r\nc: 6\r\n";
    assert_same(format!("GET /a?b HTTP/1.1\r\n{fields}\r\n").as_bytes(), 0).await;
    let body = "0123456789".repeat(6553);
    let whole = format!("PUT /a?b HTTP/1.1\r\n{fields}content-length: {}\r\n\r\n{body}", body.len());
    assert_same(whole.as_bytes(), body.len()).await;
    // Nothing of it, and not all of it, had come when the first pod went.
    assert_same(whole.as_bytes(), 0).await;
    assert_same(whole.as_bytes(), 1).await;
    let chunked = format!("DELETE /a HTTP/1.1\r\n{fields}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_same(chunked.as_bytes(), "5\r\nhello\r\n0\r\n\r\n".len()).await;
}

#[tokio::test]
async fn a_body_is_sent_again_up_to_its_limit_and_as_there_is_room() {
    for (length, room, status) in [(65536, 65536, 200), (65537, 1 << 20, 502), (65536, 65535, 502), (1, 0, 502)] {
        let (a, _) = breaks("a", length, b"").await;
        let b = TestPod::start("b").await;
        let limits = Limits { max_replay_bytes: room, ..Limits::default() };
        let world = ready(&[&a, &b], json!({}), limits).await;
        let mut request = put(vec![7; length]);
        *request.uri_mut() = "/count".parse().unwrap();
        let reply = world.send(request).await.unwrap();
        assert_eq!(reply.status, status, "{length} bytes with room for {room}");
        if status == 200 {
            assert_eq!(reply.body, length.to_string());
        } else {
            assert!(b.seen().is_empty());
        }
    }
}

#[tokio::test]
async fn a_chunked_body_is_sent_again_whole() {
    let (a, _) = breaks("a", 20_000, b"").await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(b"PUT /count HTTP/1.1\r\nhost: hello.shop\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = format!("7d0\r\n{}\r\n", "x".repeat(2000));
    for _ in 0..12 {
        caller.write_all(chunk.as_bytes()).await.unwrap();
    }
    // The first pod has gone in the middle; the rest comes while the second has it.
    eventually(|| b.seen().len() == 1).await;
    caller.write_all(chunk.as_bytes()).await.unwrap();
    caller.write_all(b"0\r\n\r\n").await.unwrap();
    let reply = until_ends(&mut caller, "26000").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
}

/// What a pod does with the request is not done twice.
async fn assert_once(caller: &str, behind: usize, says: &'static [u8], reply: &str) {
    let (a, first) = breaks("a", behind, says).await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(caller.as_bytes()).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(reply) {
        let mut more = [0; 1024];
        match timeout(SOON, stream.read(&mut more)).await {
            Ok(Ok(read @ 1..)) => seen.extend(&more[..read]),
            end => panic!("{caller:?}: {end:?} after {:?}", String::from_utf8_lossy(&seen)),
        }
    }
    // Long enough for another pod to hear of it.
    sleep(Duration::from_millis(100)).await;
    assert!(!first.lock().unwrap().is_empty());
    assert!(b.seen().is_empty(), "{caller:?}");
}

#[tokio::test]
async fn what_may_do_harm_twice_is_sent_once() {
    assert_once("POST / HTTP/1.1\r\nhost: hello.shop\r\n\r\n", 0, b"", "HTTP/1.1 502").await;
    assert_once("PATCH / HTTP/1.1\r\nhost: hello.shop\r\ncontent-length: 1\r\n\r\nx", 1, b"", "HTTP/1.1 502").await;
    let upgrade = "GET /ws HTTP/1.1\r\nhost: hello.shop\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    assert_once(upgrade, 0, b"", "HTTP/1.1 502").await;
    // The caller has been told to go on.
    let expects = "PUT / HTTP/1.1\r\nhost: hello.shop\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    assert_once(expects, 0, b"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 502").await;
}

#[tokio::test]
async fn an_answer_that_has_begun_or_is_none_is_not_asked_for_again() {
    let get = "GET / HTTP/1.1\r\nhost: hello.shop\r\n\r\n";
    assert_once(get, 0, b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe", "HTTP/1.1 200 OK").await;
    assert_once(get, 0, b"HTTP/1.1 200 OK\r\n nonsense\r\n\r\n", "HTTP/1.1 502").await;
    assert_once(get, 0, b"garbage\r\n\r\n", "HTTP/1.1 502").await;
}

#[tokio::test]
async fn a_deadline_is_one_for_every_sending() {
    // It takes its time to break, and the other one never answers. As long as that, and once more the whole time, would be 9 s.
    let a = TestPod::raw("a", |mut stream, _| async move {
        head(&mut stream).await;
        sleep(Duration::from_secs(3)).await;
    })
    .await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b], json!({"timeouts": {"requestSeconds": 6}}), Limits::default()).await;
    let began = Instant::now();
    let reply = world.get("/never").await.unwrap();
    assert_eq!((reply.status, b.seen().len()), (504, 1));
    assert!((6..9).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn after_the_deadline_nobody_else_is_asked() {
    let a = TestPod::raw("a", |mut stream, _| async move {
        head(&mut stream).await;
        std::future::pending::<()>().await;
    })
    .await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b], json!({"timeouts": {"requestSeconds": 1}}), Limits::default()).await;
    assert_eq!(world.get("/").await.unwrap().status, 504);
    assert!(b.seen().is_empty());
}

#[tokio::test]
async fn a_stream_that_is_reset_is_sent_again_and_one_that_was_never_looked_at_too() {
    for (reason, cause, method) in [(h2::Reason::CANCEL, "lost", "GET"), (h2::Reason::REFUSED_STREAM, "unsent", "POST")]
    {
        let mut a = TestPod::raw("a", move |stream, _| async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                if request.uri().path() == "/first" {
                    respond.send_response(http::Response::new(()), true).unwrap();
                } else {
                    respond.send_reset(reason);
                }
            }
        })
        .await;
        a.port_name = "h2c";
        let b = TestPod::h2c("b").await;
        let world = ready(&[&a, &b], json!({}), Limits::default()).await;
        assert_eq!(world.get("/first").await.unwrap().body, "", "by the first");
        let mut request = get("/count");
        *request.method_mut() = method.parse().unwrap();
        let reply = world.send(request).await.unwrap();
        assert_eq!((reply.status, reply.body.as_str()), (200, "0"), "{cause}");
        assert_eq!(b.seen(), [format!("{method} /count")]);
        assert!(world.says(&format!("rouse_activator_retries_total{{cause=\"{cause}\",outcome=\"Sent\"}} 1")));
    }
}

#[tokio::test]
async fn where_every_pod_fails_little_is_sent_twice() {
    const REQUESTS: u32 = 800;
    let (a, _) = breaks("a", 0, b"").await;
    let (b, _) = breaks("b", 0, b"").await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    let connections = || a.connections.load(Ordering::SeqCst) + b.connections.load(Ordering::SeqCst);
    let (began, probes) = (Instant::now(), connections());
    for _ in 0..REQUESTS / 8 {
        for reply in (0..8).map(|_| world.get("/")).collect::<Vec<_>>() {
            assert_eq!(reply.await.unwrap().status, 502);
        }
    }
    let retries = connections() - probes - REQUESTS;
    let millis = u32::try_from(began.elapsed().as_millis()).unwrap();
    // And a pod that was left alone is probed again, after five seconds and later.
    let most = 100 + millis / 100 + 1 + millis / 2500;
    assert!((100..=most).contains(&retries), "{retries} of {REQUESTS} requests, at most {most}");
}

#[tokio::test]
async fn where_every_pod_turns_requests_away_little_is_sent_twice() {
    // It accepts, as a probe wants it to, and closes.
    let a = TestPod::raw("a", |_, _| async {}).await;
    let b = TestPod::raw("b", |_, _| async {}).await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    let began = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..50 {
        for reply in (0..8).map(|_| world.send(post("/", "x"))).collect::<Vec<_>>() {
            statuses.push(reply.await.unwrap().status);
        }
    }
    assert_eq!(statuses, [502; 400]);
    let sent = |cause: &str| {
        (0..4000_u32)
            .find(|n| world.says(&format!("rouse_activator_retries_total{{cause=\"{cause}\",outcome=\"Sent\"}} {n}")))
    };
    let retries = sent("unsent").unwrap_or(0) + sent("lost").unwrap_or(0);
    // Ten a second are always free.
    let most = 300 + began.elapsed().as_millis() / 100;
    assert!(u128::from(retries) < most, "{retries}, at most {most}");
}

#[tokio::test]
async fn a_pod_that_vanishes_takes_nothing_with_it_that_another_can_have() {
    let mut a = TestPod::start("a").await;
    let b = TestPod::start("b").await;
    let world = ready(&[&a, &b], json!({}), Limits::default()).await;
    // Both have connections that are used again.
    for reply in (0..16).map(|_| world.get("/slow")).collect::<Vec<_>>() {
        assert_eq!(reply.await.unwrap().status, 200);
    }
    let slow: Vec<_> = (0..64).map(|_| world.get("/slow")).collect();
    eventually(|| a.seen().len() > 24).await;
    a.stop().await;
    let posts: Vec<_> = (0..64).map(|_| world.send(post("/", "x"))).collect();
    for reply in slow.into_iter().chain(posts) {
        let reply = reply.await.unwrap();
        assert_eq!((reply.status, reply.body.is_empty()), (200, false), "{reply:?}");
    }
}
