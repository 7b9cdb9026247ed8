//! What a closed pool sends: nothing. Over real sockets; the pod that has the address afterwards writes down what it gets.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Waker};
use std::time::Duration;

use crds::function::Protocol;
use futures::FutureExt as _;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::{Connection, Exchange, Pool, Refused, SendError};
use crate::path::body::RequestBody;
use crate::pods::Target;
use crate::world::{TestPod, eventually, listener, narrow_listener};

const BOTH: [(Protocol, &str); 2] = [(Protocol::HTTP1, "http1"), (Protocol::H2C, "h2c")];

fn pool(protocol: Protocol, address: SocketAddr) -> Arc<Pool> {
    Arc::new(Pool::new(Target { address, protocol }))
}

fn request(protocol: Protocol, method: &Method) -> Box<Request<RequestBody>> {
    let uri = if protocol == Protocol::H2C { "http://hello.shop/path" } else { "/path" };
    let request = Request::builder().method(method).uri(uri).header("x-mine", "1");
    let request = if protocol == Protocol::H2C { request } else { request.header("host", "hello.shop") };
    Box::new(request.body(RequestBody::empty()).unwrap())
}

/// Polls once; it has more to do.
fn begin<F: Future>(sending: Pin<&mut F>) {
    assert!(sending.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

/// The request as it was, not sent as the pool was closed.
fn assert_closed(sent: Result<Exchange, SendError>, method: &Method) {
    match sent.map(|response| response.status()) {
        Err(SendError::Unsent { request, cause: Refused::Closed }) => {
            assert_eq!((request.method(), request.uri().path()), (method, "/path"));
            assert_eq!(request.headers()["x-mine"], "1");
        }
        other => panic!("{other:?}"),
    }
}

/// Reads one HTTP/1 head.
async fn head(stream: &mut TcpStream) {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(stream.read_u8().await.unwrap());
    }
}

#[tokio::test]
async fn a_closed_pool_does_not_connect() {
    for (protocol, name) in BOTH {
        let pod = TestPod::on("next", listener().await, name);
        let pool = pool(protocol, pod.address);
        pool.close();
        assert_closed(pool.send(request(protocol, &Method::POST), false).await, &Method::POST);
        // Whatever had been sent would have been accepted before this.
        TcpStream::connect(pod.address).await.unwrap();
        eventually(|| pod.connections.load(Ordering::SeqCst) == 1).await;
        assert!(pod.seen().is_empty());
    }
}

#[tokio::test]
async fn a_connect_that_hangs_ends_with_the_pool() {
    for (protocol, name) in BOTH {
        let full = narrow_listener();
        let address = full.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let pool = pool(protocol, address);
        let mut sending = pin!(pool.send(request(protocol, &Method::POST), false));
        begin(sending.as_mut());
        pool.close();
        assert_closed(sending.now_or_never().expect("at once"), &Method::POST);
        // The next pod at this address takes what comes.
        let next = TestPod::on("next", full, name);
        eventually(|| next.connections.load(Ordering::SeqCst) == 1).await;
        TcpStream::connect(address).await.unwrap();
        eventually(|| next.connections.load(Ordering::SeqCst) == 2).await;
        assert!(next.seen().is_empty());
    }
}

#[tokio::test]
async fn a_connection_that_opened_as_the_pool_was_closed_carries_nothing() {
    for (protocol, _) in BOTH {
        let listener = listener().await;
        let pool = pool(protocol, listener.local_addr().unwrap());
        let mut sending = pin!(pool.send(request(protocol, &Method::POST), false));
        let mut second = pin!(pool.send(request(protocol, &Method::GET), true));
        begin(sending.as_mut());
        begin(second.as_mut());
        // One for both over HTTP/2.
        let mut streams = vec![listener.accept().await.unwrap().0];
        if protocol == Protocol::HTTP1 {
            streams.push(listener.accept().await.unwrap().0);
        }
        pool.close();
        assert_closed(sending.now_or_never().expect("at once"), &Method::POST);
        assert_closed(second.now_or_never().expect("at once"), &Method::GET);
        for stream in streams {
            assert_carried_nothing(protocol, stream).await;
        }
    }
}

/// The connection ends, without a request on it.
async fn assert_carried_nothing(protocol: Protocol, mut stream: TcpStream) {
    if protocol == Protocol::HTTP1 {
        let mut seen = Vec::new();
        stream.read_to_end(&mut seen).await.unwrap();
        assert!(seen.is_empty(), "{}", String::from_utf8_lossy(&seen));
    } else if let Ok(mut connection) = h2::server::handshake(stream).await {
        assert!(!matches!(connection.accept().await, Some(Ok(_))));
    }
}

#[tokio::test]
async fn a_closed_pool_does_not_use_the_connections_it_has() {
    for (protocol, name) in BOTH {
        let pod = TestPod::on("pod", listener().await, name);
        let pool = pool(protocol, pod.address);
        let exchange = pool.send(request(protocol, &Method::GET), true).await.unwrap();
        exchange.into_body().collect().await.unwrap();
        pool.close();
        assert_closed(pool.send(request(protocol, &Method::GET), true).await, &Method::GET);
        assert_eq!(pod.seen(), ["GET /path"]);
    }
}

#[tokio::test]
async fn a_connection_does_not_come_back_to_a_closed_pool() {
    let listener = listener().await;
    let pool = pool(Protocol::HTTP1, listener.local_addr().unwrap());
    let sending = pool.send(request(Protocol::HTTP1, &Method::GET), true);
    let (mut stream, exchange) = tokio::join!(begin_to_answer(&listener), sending);
    let body = exchange.unwrap().into_body();
    pool.close();
    stream.write_all(b"k").await.unwrap();
    body.collect().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "it is closed");
}

/// Accepts a connection and answers the first request on it, but for the last byte.
async fn begin_to_answer(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    head(&mut stream).await;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").await.unwrap();
    stream
}

/// The same with it.
async fn answer_one(listener: &TcpListener) -> TcpStream {
    let mut stream = begin_to_answer(listener).await;
    stream.write_all(b"k").await.unwrap();
    stream
}

/// A pod that has the request on an old or a new connection and goes without an answer, and its pool is closed by then.
async fn broken_http1(old: bool) -> Result<Exchange, SendError> {
    let listener = listener().await;
    let pool = pool(Protocol::HTTP1, listener.local_addr().unwrap());
    let mut before = None;
    if old {
        let sending = pool.send(request(Protocol::HTTP1, &Method::GET), true);
        let (stream, exchange) = tokio::join!(answer_one(&listener), sending);
        exchange.unwrap().into_body().collect().await.unwrap();
        before = Some(stream);
    }
    let sending = pool.send(request(Protocol::HTTP1, &Method::GET), true);
    let going = async {
        let mut stream = match before {
            Some(stream) => stream,
            None => listener.accept().await.unwrap().0,
        };
        head(&mut stream).await;
        pool.close();
    };
    let ((), sent) = tokio::join!(going, sending);
    sent
}

/// The same over HTTP/2.
async fn broken_h2c() -> Result<Exchange, SendError> {
    let listener = listener().await;
    let pool = pool(Protocol::H2C, listener.local_addr().unwrap());
    let (ended, end) = oneshot::channel::<()>();
    let going = async {
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        pool.close();
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        tokio::select! {
            _ = connection.accept() => {}
            _ = end => {}
        }
    };
    let sending = async {
        let sent = pool.send(request(Protocol::H2C, &Method::GET), true).await;
        drop(ended);
        sent
    };
    tokio::join!(going, sending).1
}

#[tokio::test]
async fn what_a_pod_took_with_it_is_told_from_what_it_broke() {
    for old in [false, true] {
        let sent = broken_http1(old).await;
        assert!(matches!(sent, Err(SendError::Broken { on: Connection::Closed, .. })), "{sent:?}");
    }
    let sent = broken_h2c().await;
    assert!(matches!(sent, Err(SendError::Broken { on: Connection::Closed, .. })), "{sent:?}");
}

#[tokio::test]
async fn a_pod_that_is_there_and_breaks_the_exchange_is_not_asked_by_another_connection_again() {
    let listener = listener().await;
    let pool = pool(Protocol::HTTP1, listener.local_addr().unwrap());
    let sending = pool.send(request(Protocol::HTTP1, &Method::GET), true);
    let breaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        head(&mut stream).await;
    };
    let ((), sent) = tokio::join!(breaking, sending);
    assert!(matches!(sent, Err(SendError::Broken { on: Connection::New, .. })), "{sent:?}");
}

#[tokio::test]
async fn an_http2_connection_is_opened_to_the_end_whoever_leaves_meanwhile() {
    let listener = listener().await;
    let pool = pool(Protocol::H2C, listener.local_addr().unwrap());
    {
        let mut sending = pin!(pool.send(request(Protocol::H2C, &Method::GET), true));
        begin(sending.as_mut());
    }
    let (stream, _) = listener.accept().await.unwrap();
    // The caller's preface comes without anybody who asks for it.
    let opened = tokio::time::timeout(Duration::from_secs(30), h2::server::handshake(stream)).await;
    assert!(opened.unwrap().is_ok());
}

/// A pod that accepts a connection every other millisecond and has room for few that wait, asked by very many at once: each
/// is answered, though it takes longer than a pod that is gone is waited for.
#[tokio::test]
async fn a_pod_that_accepts_slowly_is_not_overrun() {
    const REQUESTS: u32 = 1200;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 7, 1], 0))).unwrap();
    let listener = socket.listen(8).unwrap();
    let pool = pool(Protocol::HTTP1, listener.local_addr().unwrap());
    let accepting = async {
        let mut served = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            served.spawn(async move {
                let mut read = [0; 1024];
                while stream.read(&mut read).await.is_ok_and(|read| read > 0) {
                    // Not the whole of it.
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n").await;
                }
            });
            sleep(Duration::from_millis(2)).await;
        }
    };
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let pool = Arc::clone(&pool);
        // Each needs a connection of its own: none is given back.
        requests.spawn(async move { pool.send(request(Protocol::HTTP1, &Method::POST), false).await.is_ok() });
    }
    let ended = tokio::select! {
        ended = requests.join_all() => ended,
        () = accepting => unreachable!(),
    };
    assert_eq!(ended.iter().filter(|ok| !**ok).count(), 0);
}
