//! What belongs to a message beside its head and its body, between callers and pods of either protocol: trailers, HEAD,
//! preliminary responses, fields that are between neighbours.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{SOON, TestPod, World, world};

/// An HTTP/1 pod that answers each request with these bytes, once it has read all of it.
async fn http1_pod(answer: &'static str) -> TestPod {
    TestPod::raw("a", move |mut stream, _| async move {
        let mut buffer = [0; 4096];
        while let Ok(1..) = stream.read(&mut buffer).await {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// An HTTP/2 pod that answers each request with these fields, this body, and these fields behind it.
async fn h2c_pod(head: &'static [(&str, &str)], body: &'static str, trailers: &'static [(&str, &str)]) -> TestPod {
    let fields = |fields: &[(&str, &str)]| -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    };
    let mut pod = TestPod::raw("a", move |stream, _| async move {
        // A probe closes at once.
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_informational(Response::builder().status(103).body(()).unwrap()).unwrap();
            let mut response = Response::new(());
            *response.headers_mut() = fields(head);
            let mut out = respond.send_response(response, body.is_empty() && trailers.is_empty()).unwrap();
            if !body.is_empty() {
                out.send_data(Bytes::from_static(body.as_bytes()), trailers.is_empty()).unwrap();
            }
            if !trailers.is_empty() {
                out.send_trailers(fields(trailers)).unwrap();
            }
        }
    })
    .await;
    pod.port_name = "h2c";
    pod
}

impl World {
    /// All that comes back for these bytes, up to the connection's end.
    async fn said(&self, request: &str) -> String {
        let mut caller = TcpStream::connect(self.address).await.unwrap();
        caller.write_all(request.as_bytes()).await.unwrap();
        let mut said = String::new();
        timeout(SOON, caller.read_to_string(&mut said)).await.expect("the connection stays open").unwrap();
        said
    }

    /// The same over HTTP/2: head, body, trailers.
    async fn ask(&self, request: http::request::Builder) -> (Response<()>, Bytes, HeaderMap) {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = timeout(SOON, sender.send_request(request)).await.expect("no answer").unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        (Response::from_parts(parts, ()), body.to_bytes(), trailers)
    }
}

/// A request of HTTP/1 that is the last one on its connection.
fn last(method: &str, fields: &str) -> String {
    format!("{method} / HTTP/1.1\r\nHost: hello.shop\r\nConnection: close, te\r\n{fields}\r\n")
}

const CHUNKED: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\
    Trailer: x-sum, rouse-any\r\nConnection: x-private, keep-alive\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n\r\n\
    5\r\nhello\r\n0\r\nX-Sum: 1\r\nRouse-Any: 6.6.6.6\r\nContent-Length: 7\r\n\r\n";
const HEAD: &[(&str, &str)] = &[("trailer", "x-sum, rouse-any")];
const TRAILERS: &[(&str, &str)] = &[("x-sum", "1"), ("rouse-any", "6.6.6.6"), ("content-length", "7")];

#[tokio::test]
async fn trailers_of_a_response_come_through() {
    for pod in [http1_pod(CHUNKED).await, h2c_pod(HEAD, "hello", TRAILERS).await] {
        let world = world().await;
        world.appear(&pod, "r1");
        let said = world.said(&last("GET", "TE: trailers\r\n")).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("\r\ntrailer: x-sum\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{said}");
        // A caller that does not ask for them may not know what they are.
        let said = world.said(&last("GET", "")).await;
        assert!(said.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{said}");
        let (_, body, trailers) = world.ask(Request::get("http://hello.shop/")).await;
        assert_eq!(
            (body, trailers),
            ("hello".into(), HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]))
        );
    }
}

#[tokio::test]
async fn what_is_between_a_pod_and_us_stays_there() {
    let pod = http1_pod(CHUNKED).await;
    let world = world().await;
    world.appear(&pod, "r1");
    let said = world.said(&last("GET", "")).await;
    let (answer, ..) = world.ask(Request::get("http://hello.shop/")).await;
    let names: Vec<&str> = answer.headers().keys().map(http::HeaderName::as_str).collect();
    for name in ["x-private", "keep-alive"] {
        assert!(!said.contains(name) && !names.contains(&name), "{said}\n{names:?}");
    }
}

#[tokio::test]
async fn preliminary_responses_other_than_100_end_here() {
    for pod in [http1_pod(CHUNKED).await, h2c_pod(HEAD, "hello", &[]).await] {
        let world = world().await;
        world.appear(&pod, "r1");
        let said = world.said(&last("GET", "")).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.matches("HTTP/1.1").count() == 1, "{said}");
        let (answer, body, _) = world.ask(Request::get("http://hello.shop/")).await;
        assert_eq!((answer.status().as_u16(), body), (200, "hello".into()));
    }
}

#[tokio::test]
async fn trailers_of_a_request_come_through() {
    let (told, mut seen) = tokio::sync::mpsc::channel(1);
    let mut pod = TestPod::raw("a", move |stream, _| {
        let told = told.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else { return };
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let told = told.clone();
                tokio::spawn(async move {
                    let mut body = request.into_body();
                    while body.data().await.is_some() {}
                    told.send(body.trailers().await.unwrap()).await.unwrap();
                    respond.send_response(Response::new(()), true).unwrap();
                });
            }
        }
    })
    .await;
    pod.port_name = "h2c";
    let world = world().await;
    world.appear(&pod, "r1");
    let fields = "Transfer-Encoding: chunked\r\nTrailer: x-sum\r\n";
    let body = "5\r\nhello\r\n0\r\nX-Sum: 1\r\nHost: other.shop\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
    let said = world.said(&(last("POST", fields) + body)).await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    let trailers = seen.recv().await.unwrap().expect("no trailers came");
    assert_eq!(trailers, HeaderMap::from_iter([("x-sum".parse().unwrap(), "1".parse().unwrap())]));
}

#[tokio::test]
async fn a_response_to_head_has_a_length_and_no_body() {
    let http1 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    for pod in [http1_pod(http1).await, h2c_pod(&[("content-length", "5")], "", &[]).await] {
        let world = world().await;
        world.appear(&pod, "r1");
        let said = world.said(&last("HEAD", "")).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.contains("\r\ncontent-length: 5\r\n"), "{said}");
        assert!(said.ends_with("\r\n\r\n") && said.matches("\r\n\r\n").count() == 1, "{said}");
        let (answer, body, _) = world.ask(Request::head("http://hello.shop/")).await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-length"], body.len()),
            (200, &"5".parse().unwrap(), 0)
        );
    }
}

#[tokio::test]
async fn our_own_response_to_head_has_no_body_either() {
    let world = world().await;
    let said = world.said(&last("HEAD", "").replace("hello", "nobody")).await;
    assert!(said.starts_with("HTTP/1.1 404") && said.ends_with("\r\n\r\n"), "{said}");
    assert_eq!(said.matches("\r\n\r\n").count(), 1, "{said}");
    let (answer, body, _) = world.ask(Request::head("http://nobody.shop/")).await;
    assert_eq!((answer.status().as_u16(), body.len()), (404, 0));
    let length: usize = answer.headers()["content-length"].to_str().unwrap().parse().unwrap();
    assert!(length > 100, "that of the document: {length}");
}

#[tokio::test]
async fn a_grpc_caller_gets_our_status_in_one_head() {
    let world = world().await;
    let request = Request::post("http://nobody.shop/echo.Echo/Unary").header("content-type", "application/grpc");
    let (answer, body, trailers) = world.ask(request).await;
    assert_eq!((answer.status().as_u16(), &answer.headers()["grpc-status"]), (200, &"12".parse().unwrap()));
    assert!(body.is_empty() && trailers.is_empty());
}

#[tokio::test]
async fn continue_is_said_after_a_second_at_the_latest() {
    let pod = TestPod::raw("a", |mut stream, _| async move {
        let mut seen = Vec::new();
        // It never asks for the body, and waits for it.
        while !seen.ends_with(b"\r\n\r\nhello") {
            match stream.read_u8().await {
                Ok(byte) => seen.push(byte),
                Err(_) => return,
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    })
    .await;
    let world = world().await;
    world.appear(&pod, "r1");
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    let head = last("POST", "Expect: 100-continue\r\nContent-Length: 5\r\n");
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 1024];
    let early = timeout(Duration::from_millis(500), caller.read(&mut buffer)).await;
    assert!(early.is_err(), "the pod has a while to refuse the body: {early:?}");
    let read = timeout(SOON, caller.read(&mut buffer)).await.expect("the caller waits for ever").unwrap();
    assert_eq!(&buffer[..read], b"HTTP/1.1 100 Continue\r\n\r\n");
    caller.write_all(b"hello").await.unwrap();
    let mut said = String::new();
    timeout(SOON, caller.read_to_string(&mut said)).await.expect("the connection stays open").unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
}

#[tokio::test]
async fn nobody_waits_for_a_continue_that_http2_does_not_bring() {
    let h2c = TestPod::h2c("a").await;
    let world = world().await;
    world.appear(&h2c, "r1");
    let head = last("POST", "Expect: 100-continue\r\nContent-Length: 5\r\n").replace(" / ", " /count ");
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = [0; 25];
    timeout(SOON, caller.read_exact(&mut buffer)).await.expect("the caller waits for ever").unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 100 Continue\r\n\r\n");
    caller.write_all(b"hello").await.unwrap();
    let mut said = String::new();
    timeout(SOON, caller.read_to_string(&mut said)).await.expect("the connection stays open").unwrap();
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n") && said.ends_with("\r\n\r\n5"), "{said}");
    // And the other way: what the caller sends unasked is passed on.
    world.delete(&h2c, "r1");
    let http1 = TestPod::start("b").await;
    world.appear(&http1, "r1");
    let request = Request::post("http://hello.shop/count").header("expect", "100-continue");
    let (answer, body, _) = world.ask(request).await;
    assert_eq!((answer.status().as_u16(), body), (200, "0".into()));
}
