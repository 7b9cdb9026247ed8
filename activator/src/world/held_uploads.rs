//! Uploads that are held on a connection which others use meanwhile.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::Request;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{SOON, TestPod, World, eventually, world_with};
use crate::args::Limits;

/// What a stream may have under way.
const WINDOW: usize = 32 * 1024;
const LONG: usize = 10 * 1024 * 1024;

/// A function at zero beside one that is ready, and one connection.
async fn world(limits: Limits) -> (World, TestPod, SendRequest<Bytes>) {
    let world = world_with(serde_json::json!({"scaling": {"maxReplicas": 1}}), limits).await;
    let pod = TestPod::start("o").await;
    world.neighbour(&pod);
    eventually(|| world.index.pods().iter().any(|pod| pod.is_ready())).await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    // With its answer it has the settings of the other side: before, a stream may have 64 KiB under way.
    call(&mut sender, 0).await;
    (world, pod, sender)
}

async fn begin(
    sender: &mut SendRequest<Bytes>,
    url: &str,
    end: bool,
) -> (h2::client::ResponseFuture, SendStream<Bytes>) {
    *sender = sender.clone().ready().await.unwrap();
    sender.send_request(Request::post(url).body(()).unwrap(), end).unwrap()
}

/// Sends so many bytes as the other side takes them. Counts them.
fn upload(mut body: SendStream<Bytes>, bytes: usize, count: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let count = Arc::clone(count);
    tokio::spawn(async move {
        let mut left = bytes;
        while left > 0 {
            body.reserve_capacity(left.min(1 << 16));
            let Some(Ok(room)) = poll_fn(|cx| body.poll_capacity(cx)).await else { return };
            let now = room.min(left);
            body.send_data(Bytes::from(vec![b'x'; now]), now == left).unwrap();
            count.fetch_add(now, Ordering::SeqCst);
            left -= now;
        }
    })
}

async fn all(mut body: RecvStream) -> usize {
    let mut bytes = 0;
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        bytes += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
    }
    bytes
}

/// A call of the function that is ready, with so many bytes there and back.
async fn call(sender: &mut SendRequest<Bytes>, bytes: usize) {
    let (response, body) = begin(sender, "http://other.shop/echo", bytes == 0).await;
    if bytes > 0 {
        upload(body, bytes, &Arc::default());
    }
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(all(response.into_body()).await, bytes);
}

#[tokio::test]
async fn a_held_upload_takes_nothing_from_warm_calls_beside_it() {
    let (mut world, _other, mut sender) = world(Limits::default()).await;
    let (held, body) = begin(&mut sender, "http://hello.shop/count", false).await;
    let taken = Arc::default();
    let uploading = upload(body, LONG, &taken);
    world.expect_wake("r1", 1).await;
    eventually(|| taken.load(Ordering::SeqCst) == WINDOW).await;
    let calls = async {
        for number in 0..200 {
            // More than a stream's window now and then.
            call(&mut sender, if number % 10 == 0 { 3 * WINDOW } else { 0 }).await;
        }
    };
    timeout(SOON, calls).await.expect("warm calls wait for the upload");
    assert_eq!(world.held(), 1, "it is held all the while");
    assert_eq!(taken.load(Ordering::SeqCst), WINDOW, "no more of it is here than its window");

    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let response = timeout(SOON, held).await.expect("the upload does not go on").unwrap();
    assert_eq!((response.status().as_u16(), all(response.into_body()).await), (200, 8));
    uploading.await.unwrap();
    assert_eq!(taken.load(Ordering::SeqCst), LONG);
}

#[tokio::test]
async fn as_many_uploads_as_may_be_leave_room_for_another() {
    let (mut world, _other, mut sender) = world(Limits::default()).await;
    let taken = Arc::default();
    let mut held = Vec::new();
    for _ in 0..99 {
        let (response, body) = begin(&mut sender, "http://hello.shop/count", false).await;
        held.push((response, upload(body, LONG / 10, &taken)));
    }
    world.expect_wake("r1", 1).await;
    eventually(|| taken.load(Ordering::SeqCst) == 99 * WINDOW).await;
    world.until_held(99).await;
    let calls = async {
        for _ in 0..20 {
            call(&mut sender, 3 * WINDOW).await;
        }
    };
    timeout(SOON, calls).await.expect("a warm call waits for the uploads");
    assert_eq!((world.held(), taken.load(Ordering::SeqCst)), (99, 99 * WINDOW));

    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    for (response, uploading) in held {
        assert_eq!(timeout(SOON, response).await.expect("an upload does not go on").unwrap().status(), 200);
        uploading.await.unwrap();
    }
    assert_eq!(taken.load(Ordering::SeqCst), 99 * (LONG / 10));
}

#[tokio::test]
async fn what_an_upload_has_of_the_connection_comes_back_when_it_is_given_up() {
    let limits = Limits { max_resets: 1000, ..Limits::default() };
    let (mut world, _other, mut sender) = world(limits).await;
    // Twice as much as the connection has for all its streams.
    for round in 0..4 {
        let taken = Arc::default();
        let mut held = Vec::new();
        for _ in 0..50 {
            let (response, body) = begin(&mut sender, "http://hello.shop/count", false).await;
            held.push((response, upload(body, LONG, &taken)));
        }
        if round == 0 {
            world.expect_wake("r1", 1).await;
        }
        eventually(|| taken.load(Ordering::SeqCst) == 50 * WINDOW).await;
        world.until_held(50).await;
        for (response, uploading) in held {
            uploading.abort();
            let _ = uploading.await;
            drop(response);
        }
        world.until_held(0).await;
    }
    timeout(SOON, call(&mut sender, 3 * WINDOW)).await.expect("nothing is left of the connection's window");
}
