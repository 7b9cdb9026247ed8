//! How many connections there may be, and those that have gone over to another protocol.

use std::io::ErrorKind;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::deadlines::eventually_answers;
use super::{SOON, TestPod, World, eventually, world_with};
use crate::args::Limits;

#[tokio::test]
async fn an_address_has_its_share_of_connections() {
    let limits = Limits { max_connections_per_peer: 2.try_into().unwrap(), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let whole = "GET / HTTP/1.1\r\nhost: nobody.shop\r\n\r\n";
    let mut first = world.caller(whole).await;
    let mut second = world.caller(whole).await;
    eventually_answers(&mut first, 1).await;
    eventually_answers(&mut second, 1).await;
    let mut third = world.caller("").await;
    let ended = timeout(SOON, third.read(&mut [0])).await.expect("the connection stays open");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert!(world.says(r#"rouse_activator_connections_closed_total{cause="peer-share"} 1"#));
    // Others have theirs.
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(world.address).await.unwrap();
    other.write_all(whole.as_bytes()).await.unwrap();
    eventually_answers(&mut other, 1).await;
    // What ends makes room.
    drop(first);
    let again = async {
        loop {
            let mut next = world.caller("").await;
            if next.write_all(whole.as_bytes()).await.is_ok() && next.read_u8().await.is_ok() {
                return;
            }
        }
    };
    timeout(SOON, again).await.expect("no room comes free");
}

#[tokio::test]
async fn upgraded_connections_are_connections() {
    let limits = Limits { max_connections_per_peer: 2.try_into().unwrap(), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let mut first = upgraded(&world).await;
    let mut second = upgraded(&world).await;
    for caller in [&mut first, &mut second] {
        caller.write_all(b"x").await.unwrap();
        assert_eq!(timeout(SOON, caller.read_u8()).await.unwrap().unwrap(), b'x');
    }
    assert!(world.says("rouse_activator_connections 2"));
    let mut third = world.caller("").await;
    let ended = timeout(SOON, third.read(&mut [0])).await.expect("it was let in");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(first);
    eventually(|| world.says("rouse_activator_connections 1")).await;
    let _again = upgraded(&world).await;
    drop(second);
}

/// A connection that has gone over to another protocol.
async fn upgraded(world: &World) -> TcpStream {
    let upgrade = "GET /ws HTTP/1.1\r\nhost: hello.shop\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut caller = world.caller(upgrade).await;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        seen.push(timeout(SOON, caller.read_u8()).await.unwrap().unwrap());
    }
    assert!(seen.starts_with(b"HTTP/1.1 101"), "{}", seen.escape_ascii());
    caller
}

#[tokio::test]
async fn an_upgraded_connection_that_is_silent_is_closed() {
    let limits = Limits { tunnel_idle: Duration::from_secs(4), ..Limits::default() };
    let world = world_with(json!({}), limits).await;
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    let mut caller = upgraded(&world).await;
    // For longer than it may be silent, and each time for much less.
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        caller.write_all(b"x").await.unwrap();
        assert_eq!(timeout(SOON, caller.read_u8()).await.unwrap().unwrap(), b'x');
    }
    let ended = timeout(SOON, caller.read(&mut [0])).await.expect("the connection stays open");
    assert!(matches!(ended, Ok(0) | Err(_)));
    eventually(|| world.present() == (0, 0)).await;
    assert!(world.says(r#"rouse_activator_connections_closed_total{cause="idle-tunnel"} 1"#));
}
