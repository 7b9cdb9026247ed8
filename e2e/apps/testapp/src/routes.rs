//! Behaviour by path.
//!
//! | Path | Answer |
//! |---|---|
//! | `/` | `hello from POD` |
//! | `/version` | `VERSION` of the image |
//! | `/env?name=N` | an environment variable, 404 if it is not set |
//! | `/headers` | the request's headers as JSON |
//! | `/echo` | the request's body, streamed back |
//! | `/upload` | how many bytes the request's body had |
//! | `/bytes?n=N` | N bytes |
//! | `/broken?n=N` | announces N bytes and breaks off after half |
//! | `/sleep?ms=N` | after N milliseconds |
//! | `/work?ms=N` | after N milliseconds of work, of four requests at a time |
//! | `/status/NNN` | that status |
//! | `/sse?n=N&ms=M` | N server-sent events (10), M milliseconds apart (100) |
//! | `/ws` | a WebSocket that echoes |
//! | `/crash` | none: the process exits with code 1 |
//! | `/spoil?as=X&ms=N` | goes bad for N milliseconds: `reset` or `garbage`, see [`crate::spoilt`] |
//! | `/spoilt` | how many exchanges it has spoilt |
//! | `/echo.Echo/…` | gRPC, see [`crate::grpc`] |
//!
//! A POST's `x-id` header is printed as `id=…` when the request arrives, so that a test can count how
//! often each one did. The answer to a request with an `x-id` says in `x-pod` who gave it, and in
//! `x-arrived` when the request came, in microseconds since 1970.

use std::env;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::reply::{self, Reply};
use crate::spoilt::Spoilt;
use crate::{grpc, websocket};

/// What a server of a few worker processes can do at a time.
static WORKERS: Semaphore = Semaphore::const_new(4);

/// Answers one request.
pub(crate) async fn answer(request: Request<Incoming>) -> Reply {
    let Some(id) = request.headers().get("x-id") else { return by_path(request).await };
    let arrived = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    if request.method() == Method::POST {
        println!("id={}", String::from_utf8_lossy(id.as_bytes()));
    }
    let mut reply = by_path(request).await;
    for (name, value) in [("x-pod", pod()), ("x-arrived", arrived.to_string())] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            reply.headers_mut().insert(name, value);
        }
    }
    reply
}

async fn by_path(request: Request<Incoming>) -> Reply {
    let path = request.uri().path().to_owned();
    if let Some(method) = path.strip_prefix("/echo.Echo/") {
        return grpc::answer(method, request).await;
    }
    if let Some(code) = path.strip_prefix("/status/") {
        return status(code);
    }
    match path.as_str() {
        "/" => reply::text(format!("hello from {}\n", pod())),
        "/version" => reply::text(format!("{}\n", env::var("VERSION").unwrap_or_default())),
        "/env" => variable(&request),
        "/headers" => reply::json(&headers(&request)),
        "/echo" => {
            reply::typed("application/octet-stream", request.into_body().map_err(io::Error::other).boxed_unsync())
        }
        "/upload" => upload(request).await,
        "/bytes" => reply::zeros(number(&request, "n", 1024)),
        "/broken" => reply::broken(number(&request, "n", 1024)),
        "/sleep" => nap(number(&request, "ms", 1000)).await,
        "/work" => {
            // Never closed.
            let _worker = WORKERS.acquire().await;
            nap(number(&request, "ms", 1000)).await
        }
        "/sse" => reply::events(number(&request, "n", 10), Duration::from_millis(number(&request, "ms", 100))),
        "/spoil" => spoil(&request),
        "/spoilt" => reply::text(format!("{}\n", Spoilt::count())),
        "/ws" => websocket::accept(request),
        "/crash" => std::process::exit(1),
        _ => reply::with_status(StatusCode::NOT_FOUND, "no such path\n"),
    }
}

/// Kubernetes sets a pod's host name to its name.
fn pod() -> String {
    env::var("POD").or_else(|_| env::var("HOSTNAME")).unwrap_or_else(|_| "nowhere".to_owned())
}

fn status(code: &str) -> Reply {
    match code.parse() {
        Ok(status) => reply::with_status(status, format!("{code}\n")),
        Err(_) => reply::with_status(StatusCode::BAD_REQUEST, "no such status\n"),
    }
}

fn variable(request: &Request<Incoming>) -> Reply {
    match parameter(request, "name").and_then(|name| env::var(name).ok()) {
        Some(value) => reply::text(value),
        None => reply::with_status(StatusCode::NOT_FOUND, "not set\n"),
    }
}

/// A name that occurs more than once has its values joined by commas.
fn headers(request: &Request<Incoming>) -> Value {
    let mut all = Map::new();
    for name in request.headers().keys() {
        let values = request.headers().get_all(name).iter();
        let values: Vec<_> = values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        all.insert(name.to_string(), Value::String(values.join(", ")));
    }
    Value::Object(all)
}

async fn upload(request: Request<Incoming>) -> Reply {
    let mut body = request.into_body();
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => total += frame.data_ref().map_or(0, |data| data.len()),
            Err(error) => return reply::with_status(StatusCode::BAD_REQUEST, format!("{error}\n")),
        }
    }
    reply::text(format!("{total}\n"))
}

fn spoil(request: &Request<Incoming>) -> Reply {
    match parameter(request, "as").and_then(Spoilt::named) {
        Some(spoilt) => {
            spoilt.begin(Duration::from_millis(number(request, "ms", 1000)));
            reply::text("spoilt\n")
        }
        None => reply::with_status(StatusCode::BAD_REQUEST, "as what?\n"),
    }
}

async fn nap(millis: u64) -> Reply {
    sleep(Duration::from_millis(millis)).await;
    reply::text(format!("slept {millis} ms\n"))
}

fn number(request: &Request<Incoming>, name: &str, otherwise: u64) -> u64 {
    parameter(request, name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

/// A query parameter, without decoding: the tests need none.
fn parameter<'a>(request: &'a Request<Incoming>, name: &str) -> Option<&'a str> {
    let pairs = request.uri().query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}
