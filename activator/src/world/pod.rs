//! A pod that is a server in this process.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

/// Every pod has an address of its own: an IP belongs to one pod.
static NEXT: AtomicU8 = AtomicU8::new(2);

type Body = UnsyncBoxBody<Bytes, hyper::Error>;
type Log = Arc<Mutex<Vec<String>>>;

/// A pod that is a server in this process, closed when dropped.
pub(crate) struct TestPod {
    pub(crate) uid: String,
    pub(crate) address: SocketAddr,
    pub(crate) port_name: &'static str,
    /// `METHOD path` of what came, in order.
    pub(crate) log: Log,
    /// Connections accepted.
    pub(crate) connections: Arc<AtomicU32>,
    tasks: JoinSet<()>,
}

pub(crate) async fn listener() -> TcpListener {
    let ip = std::net::Ipv4Addr::new(127, 0, 7, NEXT.fetch_add(1, Ordering::Relaxed));
    TcpListener::bind((ip, 0)).await.unwrap()
}

/// Takes one connection that nobody accepts; who connects then waits, as at a pod whose network is gone, until somebody
/// accepts.
pub(crate) fn narrow_listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 7, NEXT.fetch_add(1, Ordering::Relaxed)], 0))).unwrap();
    socket.listen(0).unwrap()
}

impl TestPod {
    /// Speaks HTTP/1.1 and answers every request at once with its name; see [`answer`] for the paths.
    pub(crate) async fn start(uid: &str) -> Self {
        Self::on(uid, listener().await, "http1")
    }

    /// Speaks HTTP/2.
    pub(crate) async fn h2c(uid: &str) -> Self {
        Self::on(uid, listener().await, "h2c")
    }

    pub(crate) fn on(uid: &str, listener: TcpListener, port_name: &'static str) -> Self {
        let address = listener.local_addr().unwrap();
        let (log, connections) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU32::new(0)));
        let mut tasks = JoinSet::new();
        let (name, seen, count) = (uid.to_owned(), Arc::clone(&log), Arc::clone(&connections));
        tasks.spawn(async move {
            let mut served = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (name, seen) = (name.clone(), Arc::clone(&seen));
                let service = service_fn(move |request: Request<Incoming>| {
                    seen.lock().unwrap().push(format!("{} {}", request.method(), request.uri().path()));
                    answer(name.clone(), Arc::clone(&seen), request)
                });
                let io = TokioIo::new(stream);
                if port_name == "h2c" {
                    served.spawn(async move {
                        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                        let _ = builder.serve_connection(io, service).await;
                    });
                } else {
                    served.spawn(async move {
                        let builder = hyper::server::conn::http1::Builder::new();
                        let _ = builder.serve_connection(io, service).with_upgrades().await;
                    });
                }
            }
        });
        Self { uid: uid.into(), address, port_name, log, connections, tasks }
    }

    /// A pod that nobody serves.
    pub(crate) fn unserved(uid: &str, address: SocketAddr) -> Self {
        let (log, connections, tasks) = (Arc::default(), Arc::default(), JoinSet::new());
        Self { uid: uid.into(), address, port_name: "http1", log, connections, tasks }
    }

    /// A pod that does as `script` does with each connection.
    pub(crate) async fn raw<F>(uid: &str, script: impl Fn(tokio::net::TcpStream, u32) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = listener().await;
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&connections);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(stream, number));
            }
        });
        Self { uid: uid.into(), address, port_name: "http1", log: Arc::default(), connections, tasks }
    }

    pub(crate) fn seen(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Closes the listener and every connection.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// Writes to a pod's log when it is dropped.
struct Ends(Log);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.lock().unwrap().push("ended".into());
    }
}

async fn answer(name: String, log: Log, mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = match path.as_str() {
        "/echo" => Response::new(request.into_body().boxed_unsync()),
        "/converse" => {
            let ends = Ends(log);
            let body = request.into_body().map_frame(move |frame| {
                let _ = &ends;
                frame
            });
            Response::new(body.boxed_unsync())
        }
        "/headers" => {
            let lines: Vec<String> = request
                .headers()
                .iter()
                .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
                .chain(request.uri().authority().map(|authority| format!("authority: {authority}")))
                .collect();
            Response::new(full(lines.join("\n")))
        }
        "/count" => {
            let mut bytes = 0;
            while let Some(Ok(frame)) = request.body_mut().frame().await {
                bytes += frame.data_ref().map_or(0, Bytes::len);
            }
            Response::new(full(bytes.to_string()))
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            Response::new(full(name))
        }
        "/never" => std::future::pending().await,
        // It keeps its request, and reads nothing of it.
        "/unread" => {
            let _request = request;
            std::future::pending().await
        }
        "/stall" => {
            let (sender, body) = http_body_util::channel::Channel::<Bytes, hyper::Error>::new(1);
            tokio::spawn(async move {
                let mut sender = sender;
                let _ = sender.send_data("half".into()).await;
                std::future::pending::<()>().await;
            });
            Response::new(body.boxed_unsync())
        }
        "/endless" => {
            let (mut sender, body) = http_body_util::channel::Channel::<Bytes, hyper::Error>::new(1);
            tokio::spawn(async move { while sender.send_data(vec![b'x'; 16 << 10].into()).await.is_ok() {} });
            Response::new(body.boxed_unsync())
        }
        "/trailers" => {
            let trailers = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let body = full("message").with_trailers(async move { Some(Ok(trailers)) });
            Response::new(body.boxed_unsync())
        }
        "/ws" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut io = TokioIo::new(upgrade.await.unwrap());
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = io.read(&mut buffer).await {
                    io.write_all(&buffer[..read]).await.unwrap();
                }
            });
            let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
            response.header("connection", "upgrade").header("upgrade", "websocket").body(full("")).unwrap()
        }
        _ => Response::new(full(name)),
    };
    Ok(response)
}
