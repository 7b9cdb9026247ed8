use std::convert::Infallible;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::mpsc;

use super::*;

/// What a request's body comes to when it is sent over HTTP/2 in one piece, and then ended, or reset with this.
async fn received(reset: Option<h2::Reason>) -> Result<Bytes, BodyError> {
    let (caller, ours) = tokio::io::duplex(1 << 16);
    let (take, mut taken) = mpsc::channel(1);
    let serve = service_fn(move |request: Request<Incoming>| {
        let take = take.clone();
        async move {
            take.send(request.into_body()).await.unwrap();
            std::future::pending::<Result<Response<String>, Infallible>>().await
        }
    });
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(ours), serve);
    tokio::spawn(serving);
    let (mut caller, connection) = h2::client::handshake(caller).await.unwrap();
    tokio::spawn(connection);
    let (_response, mut upload) = caller.send_request(Request::post("http://a.b/").body(()).unwrap(), false).unwrap();
    upload.send_data("half".into(), reset.is_none()).unwrap();
    let mut body = RequestBody::new(taken.recv().await.unwrap(), true);
    let first = body.frame().await.unwrap()?.into_data().unwrap();
    if let Some(reason) = reset {
        upload.send_reset(reason);
    }
    body.collect().await.map(|rest| [first, rest.to_bytes()].concat().into())
}

#[tokio::test]
async fn an_upload_that_is_given_up_never_looks_whole() {
    assert_eq!(received(None).await.unwrap(), "half");
    for reason in [h2::Reason::NO_ERROR, h2::Reason::CANCEL, h2::Reason::INTERNAL_ERROR] {
        let received = received(Some(reason)).await;
        assert!(received.is_err(), "{reason}: {received:?}");
    }
}
