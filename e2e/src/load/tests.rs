//! Against a server of our own on this machine.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// What the server counts.
#[derive(Debug, Default)]
struct Seen {
    posts: AtomicUsize,
    connections: AtomicUsize,
    streams: AtomicUsize,
    bytes: AtomicUsize,
}

fn answer(request: &Request<Incoming>, seen: &Seen) -> Response<Full<&'static [u8]>> {
    seen.posts.fetch_add(usize::from(request.method() == Method::POST), Ordering::Relaxed);
    seen.streams.fetch_add(usize::from(request.version() == http::Version::HTTP_2), Ordering::Relaxed);
    let reply = Response::builder().header("x-pod", "p").header("x-arrived", "1");
    let reply = reply.header("server-timing", "total;dur=3000, held;dur=1000, first-byte;dur=2000");
    let reply = match request.uri().path() {
        "/refused" => reply.status(503).body(Full::new(&b"no"[..])),
        "/sse" => reply.body(Full::new(&b"id: 0\ndata: event 0\n\nid: 1\ndata: event 1\n\n"[..])),
        _ => reply.body(Full::new(&b"ok"[..])),
    };
    reply.unwrap()
}

/// Closes each connection after its tenth request, as servers do.
async fn serve() -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::new(Seen::default()));
    let counted = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::Relaxed);
            let (seen, full) = (Arc::clone(&counted), Arc::new(tokio::sync::Notify::new()));
            tokio::spawn(async move {
                let (number, tenth) = (AtomicUsize::new(0), Arc::clone(&full));
                let service = service_fn(move |request| {
                    if number.fetch_add(1, Ordering::Relaxed) == 9 {
                        tenth.notify_one();
                    }
                    let (reply, seen) = (answer(&request, &seen), Arc::clone(&seen));
                    async move {
                        let body = request.into_body().collect().await.map(|body| body.to_bytes().len());
                        seen.bytes.fetch_add(body.unwrap_or(0), Ordering::Relaxed);
                        Ok::<_, Infallible>(reply)
                    }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
                tokio::select! {
                    _ = connection.as_mut() => return,
                    () = full.notified() => connection.as_mut().graceful_shutdown(),
                }
                let _ = connection.await;
            });
        }
    });
    (address, seen)
}

fn load(entry: SocketAddr, protocol: Protocol, shapes: Vec<Shape>) -> Load {
    Load {
        name: "test",
        entry,
        host: "f.ns".to_owned(),
        protocols: vec![protocol],
        pace: Pace::AtOnce(4),
        shapes,
        patience: Duration::from_secs(30),
        again: false,
    }
}

/// Runs until there are at least so many outcomes.
async fn run(load: Load, at_least: usize) -> Journal {
    let journal = Journal::new(Clock::start());
    let mut running = Some(load.start(&journal).await.unwrap());
    while journal.so_far().0 < at_least {
        tokio::task::yield_now().await;
    }
    running.take().unwrap().end().await.unwrap();
    journal
}

#[tokio::test]
async fn a_server_that_closes_connections_fails_no_request() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (entry, seen) = serve().await;
        let journal = run(load(entry, protocol, vec![Shape::get(0), Shape::post(0)]), 400).await;
        let counted = journal.counted(|_| true);
        assert_eq!(counted.failed, 0, "{protocol:?}: {:?}", counted.failures);
        // Every one arrived once, none twice for the closed connections.
        assert_eq!(seen.posts.load(Ordering::Relaxed), counted.posts);
        assert!(counted.posts.abs_diff(counted.requests / 2) <= 1, "{counted:?}");
        // Of those that it closes some have more streams than ten, which were on their way.
        assert!(seen.connections.load(Ordering::Relaxed) >= 20);
        let streams = seen.streams.load(Ordering::Relaxed);
        assert_eq!(streams, if protocol == Protocol::Http2 { counted.requests } else { 0 });
    }
}

#[tokio::test]
async fn ids_are_of_one_request_each_and_pods_are_known() {
    let (entry, _) = serve().await;
    let journal = run(load(entry, Protocol::Http1, vec![Shape::post(0)]), 50).await;
    let samples = journal.samples(|_| true);
    let ids: std::collections::BTreeSet<_> = samples.iter().map(|sample| &sample.id).collect();
    assert_eq!(ids.len(), samples.len());
    assert!(samples.iter().all(|s| s.pod.as_deref() == Some("p") && s.arrived.is_some() && s.held && !s.cold));
    assert!(samples.iter().all(|s| s.released == Some(s.sent + 1.0)), "held is all but the pod's own time");
}

#[tokio::test]
async fn a_wrong_status_and_half_a_stream_are_failures() {
    let (entry, _) = serve().await;
    let refused = Shape { method: Method::GET, path: "/refused".to_owned(), body: 0, events: None };
    let journal = run(load(entry, Protocol::Http2, vec![refused, Shape::stream(2), Shape::stream(3)]), 12).await;
    let counted = journal.counted(|_| true);
    let reasons: Vec<_> = counted.failures.keys().map(String::as_str).collect();
    assert_eq!(reasons, ["503 no", "the stream had 2 of 3 events"]);
    assert!(counted.failures.values().sum::<usize>() < counted.requests, "the whole stream is none: {counted:?}");
}

/// Of a server that breaks each second connection when it has read a request: what is sent again, and what is not.
#[tokio::test]
async fn a_get_that_broke_before_its_answer_is_sent_once_more_and_a_post_is_not() {
    for again in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let entry = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for number in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut head = [0; 4096];
                    while stream.read(&mut head).await.is_ok_and(|read| read > 0) && number % 2 == 1 {
                        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        let load = Load { pace: Pace::AtOnce(1), again, ..load(entry, Protocol::Http1, vec![Shape::get(0)]) };
        let gets = run(load.clone(), 4).await;
        assert_eq!(gets.counted(|_| true).failed == 0, again);
        assert_eq!(gets.samples(|sample| sample.broke.is_some()).is_empty(), !again);
        assert!(gets.samples(|sample| sample.failure.is_none()).iter().all(|sample| sample.last));
        let posts = run(Load { shapes: vec![Shape::post(0)], ..load }, 4).await;
        assert!(posts.counted(|_| true).failed > 0);
        assert!(posts.samples(|sample| sample.broke.is_some()).is_empty());
    }
}

#[tokio::test]
async fn once_is_once_for_each_and_with_its_body() {
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let (entry, seen) = serve().await;
        let load = Load { pace: Pace::Once(500), ..load(entry, protocol, vec![Shape::upload(1000)]) };
        let journal = Journal::new(Clock::start());
        load.start(&journal).await.unwrap().end().await.unwrap();
        let counted = journal.counted(|_| true);
        assert_eq!((counted.posts, counted.failed), (500, 0), "{protocol:?}: {:?}", counted.failures);
        assert_eq!(seen.posts.load(Ordering::Relaxed), 500);
        assert_eq!(seen.bytes.load(Ordering::Relaxed), 500 * 1000);
        let queued = journal.samples(|sample| sample.queued == Some((0.0, 1.0)));
        assert_eq!(queued.len(), 500, "what the server says of its queue");
    }
}

#[tokio::test]
async fn nobody_there_is_said_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let entry = listener.local_addr().unwrap();
    drop(listener);
    let error =
        load(entry, Protocol::Http1, vec![Shape::get(0)]).start(&Journal::new(Clock::start())).await.unwrap_err();
    assert!(format!("{error:#}").contains("cannot connect"), "{error:#}");
}
