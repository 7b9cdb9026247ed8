//! Health, metrics, and what only the pod itself may ask, on a port of their own.

use std::{
    future::Future,
    io,
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::{ConnectInfo, RawQuery, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

/// The media type of the OpenMetrics text format.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the program can do its work. Starts as not ready.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says so from now on.
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }

    /// What was said last.
    pub fn get(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The admin server's routes: `/healthz` (the process answers), `/readyz` (`503` until ready) and `/metrics`
/// (OpenMetrics text).
pub fn routes(registry: Arc<Registry>, readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    if readiness.get() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    // Megabytes of text, where functions are many: not on a thread that requests wait for.
    let encoded = tokio::task::spawn_blocking(move || {
        let mut text = String::new();
        encode(&mut text, &registry).map(|()| text)
    });
    match encoded.await {
        Ok(Ok(text)) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], String::new()),
    }
}

/// A route that is answered only to who connects from the same pod, as `kubectl port-forward` does; others get 403. `answer`
/// makes JSON of the query, or says what is wrong with that, which is answered 400.
pub fn local(path: &str, answer: impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static) -> Router {
    let handler = |ConnectInfo(peer): ConnectInfo<SocketAddr>, RawQuery(query): RawQuery| async move {
        if !peer.ip().to_canonical().is_loopback() {
            return say(StatusCode::FORBIDDEN, "only from within the pod: kubectl port-forward leads there");
        }
        let answer = tokio::task::spawn_blocking(move || answer(query.as_deref().unwrap_or_default()));
        match answer.await {
            Ok(Ok(json)) => (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], json).into_response(),
            Ok(Err(wrong)) => say(StatusCode::BAD_REQUEST, &wrong),
            Err(_) => say(StatusCode::INTERNAL_SERVER_ERROR, "it could not be answered"),
        }
    };
    Router::new().route(path, get(handler))
}

fn say(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

/// Serves [`routes`] on every address until `stop` is done. Returns once the port is bound; the server runs in a task of
/// its own.
///
/// # Errors
/// When the port cannot be bound.
pub async fn serve(
    port: u16,
    routes: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<SocketAddr> {
    let listener = listen(port).await?;
    let address = listener.local_addr()?;
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, routes).with_graceful_shutdown(stop).await });
    Ok(address)
}

/// Listens on IPv6 and IPv4 together; on IPv4 alone where the kernel has no IPv6.
async fn listen(port: u16) -> io::Result<TcpListener> {
    match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => TcpListener::bind(("0.0.0.0", port)).await,
        bound => bound,
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn fetch(routes: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_follows_what_was_said() {
        let readiness = Readiness::default();
        let routes = routes(Arc::new(Registry::default()), readiness.clone());
        assert_eq!(fetch(&routes, "/healthz").await.0, StatusCode::OK);
        assert_eq!(fetch(&routes, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        readiness.set(true);
        assert_eq!(fetch(&routes, "/readyz").await.0, StatusCode::OK);
        readiness.set(false);
        assert_eq!(fetch(&routes, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn what_is_local_is_not_for_the_cluster() {
        let answer = |query: &str| if query == "no" { Err("no".to_owned()) } else { Ok(format!("[{query:?}]")) };
        let routes = local("/debug", answer);
        let ask = async |from: &str, query: &str| {
            let mut request = Request::get(format!("/debug?{query}")).body(Body::empty()).unwrap();
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(from.parse().unwrap()));
            let response = routes.clone().oneshot(request).await.unwrap();
            let status = response.status().as_u16();
            (status, String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap())
        };
        for from in ["127.0.0.1:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(ask(from, "a=b").await, (200, "[\"a=b\"]".to_owned()), "{from}");
        }
        assert_eq!(ask("127.0.0.1:5", "no").await, (400, "no\n".to_owned()));
        for from in ["10.0.0.1:5", "[fd00::1]:5", "[::ffff:10.0.0.1]:5"] {
            assert_eq!(ask(from, "a=b").await.0, 403, "{from}");
        }
    }

    #[tokio::test]
    async fn the_server_knows_who_asks() {
        let routes = local("/debug", |_| Ok("{}".to_owned()));
        let address = serve(0, routes, std::future::pending()).await.unwrap();
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", address.port())).await.unwrap();
        let (mut answer, ask) = (String::new(), b"GET /debug HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        tokio::io::AsyncWriteExt::write_all(&mut stream, ask).await.unwrap();
        tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{}"), "{answer}");
    }

    #[tokio::test]
    async fn metrics_are_openmetrics() {
        let mut registry = Registry::default();
        let counter = Counter::<u64>::default();
        registry.register("rouse_tests", "Tests", counter.clone());
        counter.inc();
        let routes = routes(Arc::new(registry), Readiness::default());
        let (status, text) = fetch(&routes, "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.contains("rouse_tests_total 1"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
