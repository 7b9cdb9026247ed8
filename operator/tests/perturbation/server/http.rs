//! The way from a `kube::Client` to the server.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use tokio::time::sleep;

use super::{
    Answer, Server,
    request::{Request, Verb},
    watch,
};

/// The way to the server, and the way back.
const WAY: Duration = Duration::from_millis(1);

/// A client for one process.
pub(crate) fn client(server: &Arc<Server>) -> Client {
    let server = Arc::clone(server);
    let service = tower::service_fn(move |request| {
        let server = Arc::clone(&server);
        async move { Ok::<_, Infallible>(serve(server, request).await) }
    });
    Client::new(service, "default")
}

async fn serve(server: Arc<Server>, request: http::Request<Body>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    sleep(WAY).await;
    let Some(request) = Request::parse(&head, body) else {
        let line = format!("{} {}", head.method, head.uri);
        server.change(|state| state.unknown.push(line));
        return answered(404, Bytes::from_static(b"{}"));
    };
    if request.verb == Verb::Watch {
        return Response::new(StreamBody::new(watch::stream(&server, request)).boxed_unsync());
    }
    match server.answer(&request) {
        Answer::Is(code, value) => {
            sleep(WAY).await;
            answered(code, Bytes::from(value.to_string()))
        }
        Answer::Silence => std::future::pending().await,
    }
}

fn answered(code: u16, bytes: Bytes) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    Response::builder().status(code).body(Full::new(bytes).boxed_unsync()).unwrap()
}
