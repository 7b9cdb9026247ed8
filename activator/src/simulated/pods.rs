//! Pods: servers on hosts of their own, which write down what they are asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use turmoil::Sim;
use turmoil::net::TcpListener;

pub(super) const PORT: u16 = 8080;

/// What the pods were asked: which one, and for what.
pub(super) type Asked = Arc<Mutex<Vec<(&'static str, String)>>>;

/// A pod. It answers with its name; but the first request of each method for `/once` is never answered by anybody.
pub(super) fn host(sim: &mut Sim<'static>, name: &'static str, h2c: bool, asked: &Asked) {
    let asked = Arc::clone(asked);
    sim.host(name, move || serve(name, h2c, Arc::clone(&asked)));
}

async fn serve(name: &'static str, h2c: bool, asked: Asked) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let asked = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Incoming>| answer(name, Arc::clone(&asked), request));
        let io = TokioIo::new(stream);
        if h2c {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(server.serve_connection(io, service));
        } else {
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    }
}

async fn answer(
    name: &'static str,
    asked: Asked,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let what = format!("{} {}", request.method(), request.uri().path());
    let is_first = {
        let mut asked = asked.lock().unwrap();
        asked.push((name, what.clone()));
        asked.iter().filter(|(_, other)| *other == what).count() == 1
    };
    if is_first && request.uri().path() == "/once" {
        std::future::pending::<()>().await;
    }
    Ok(Response::new(Full::new(Bytes::from_static(name.as_bytes()))))
}
