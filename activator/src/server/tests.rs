//! Callers that take their time, on sockets that hold little.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::Response;
use prometheus_client::registry::Registry;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

use super::{Room, serve};
use crate::args::Limits;
use crate::metrics::Metrics;
use crate::path::body::ResponseBody;
use crate::path::call::Accepted;

const SECOND: Duration = Duration::from_secs(1);
/// More than the sockets take.
const LENGTH: usize = 1 << 20;

/// Its connections take little of an answer at once.
fn listener() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_send_buffer_size(4096).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(1).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

#[tokio::test]
async fn the_last_of_an_answer_may_be_taken_as_late_as_the_rest() {
    let (listener, limits) = (listener(), Limits { header_timeout: SECOND, ..Limits::default() });
    let address = listener.local_addr().unwrap();
    let room = Room::new(&Arc::new(limits), &Metrics::new(&mut Registry::default()));
    // All of it is there at once, for whoever sends it.
    let path = service_fn(|_: Accepted| async {
        let body = ResponseBody::full(vec![b'x'; LENGTH]).until(Instant::now() + 30 * SECOND);
        Ok::<_, Infallible>(Response::new(body))
    });
    tokio::spawn(serve(listener, path, room, CancellationToken::new(), CancellationToken::new()));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut caller = socket.connect(address).await.unwrap();
    caller.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    sleep(3 * SECOND).await;
    let mut seen = Vec::new();
    // A connection that is not used any more is closed behind it.
    timeout(60 * SECOND, caller.read_to_end(&mut seen)).await.expect("the connection stays open").unwrap();
    let head = seen.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert_eq!(seen.len(), head + 4 + LENGTH);
}
