//! Health and metrics, on a port of their own.

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
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
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
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => (StatusCode::OK, [(header::CONTENT_TYPE, OPENMETRICS)], text),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], String::new()),
    }
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
