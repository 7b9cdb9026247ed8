//! Upgraded connections: a WebSocket from zero, and one that keeps its function awake.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    http::streaming,
    scene::{PATIENCE, Scene, scene},
};
use http::{HeaderMap, Request, header::HOST};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::ResourceExt;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

/// The example of RFC 6455, section 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// First bytes of frames: the whole of a text message, of a ping, of a pong, and the closing (section 5.2).
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;

struct WebSocket {
    stream: TokioIo<Upgraded>,
    head: HeaderMap,
}

impl WebSocket {
    async fn open(scene: &Scene, function: &str) -> Result<Self> {
        let request = Request::get("/ws")
            .header(HOST, scene.host(function))
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", KEY)
            .body(streaming::whole(""))?;
        let mut sender = streaming::http1(scene.entry).await?;
        let answer = timeout(PATIENCE, sender.send_request(request)).await.context("no answer")??;
        ensure!(answer.status() == 101, "{}: {:?}", answer.status(), answer.headers());
        let head = answer.headers().clone();
        ensure!(head["sec-websocket-accept"] == ACCEPT, "{head:?}");
        Ok(Self { stream: TokioIo::new(hyper::upgrade::on(answer).await?), head })
    }

    /// Sends a frame of at most 65,535 bytes and reads one that is not masked, as a server's must be.
    async fn exchange(&mut self, first: u8, payload: &[u8]) -> Result<(u8, Vec<u8>)> {
        let mask = [7, 77, 177, 217];
        let mut frame = vec![first, 0x80 | 126];
        frame.extend(u16::try_from(payload.len())?.to_be_bytes());
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).await?;
        timeout(PATIENCE, self.read()).await.context("no frame came back")?
    }

    async fn read(&mut self) -> Result<(u8, Vec<u8>)> {
        let first = self.stream.read_u8().await?;
        let length = match self.stream.read_u8().await? {
            126 => usize::from(self.stream.read_u16().await?),
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await?;
        Ok((first, payload))
    }
}

#[test]
fn a_websocket_works_from_zero() {
    scene("ws", async |scene| {
        scene.function("ws", json!({})).await?;
        ensure!(scene.pods("ws").await?.is_empty());
        let mut socket = WebSocket::open(&scene, "ws").await?;
        ensure!(socket.head["rouse-cold-start"] == "true", "{:?}", socket.head);
        for payload in [b"hello".to_vec(), vec![b'x'; 60_000]] {
            ensure!(socket.exchange(TEXT, &payload).await? == (TEXT, payload));
        }
        ensure!(socket.exchange(PING, b"p").await? == (PONG, b"p".to_vec()));
        ensure!(socket.exchange(CLOSE, b"").await? == (CLOSE, Vec::new()));
        // The closing handshake ends the connection, all the way through.
        let ended = timeout(PATIENCE, socket.stream.read(&mut [0])).await.context("the connection stays open")?;
        ensure!(ended.is_err() || ended? == 0);
        Ok(())
    });
}

#[test]
fn an_open_websocket_keeps_its_function_awake() {
    scene("awake", async |scene| {
        scene.function("awake", json!({"scaling": {"windowSeconds": 6}})).await?;
        let mut socket = WebSocket::open(&scene, "awake").await?;
        let pod = scene.pods("awake").await?.first().context("no pod")?.name_any();
        // Two windows of silence.
        tokio::time::sleep(Duration::from_secs(13)).await;
        ensure!(socket.exchange(TEXT, b"still there?").await? == (TEXT, b"still there?".to_vec()));
        let pods: Vec<String> = scene.pods("awake").await?.iter().map(ResourceExt::name_any).collect();
        ensure!(pods == [pod], "{pods:?}");
        drop(socket);
        scene.at_zero("awake").await
    });
}
