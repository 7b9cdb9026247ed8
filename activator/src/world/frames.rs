//! A caller that writes HTTP/2 frames itself.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::SOON;

/// How a client begins: its preface, and settings that change nothing.
pub(crate) const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field without compression.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    let of = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0], of(name), of(value)].concat()
}

/// Fields of a request to this host.
pub(crate) fn fields(method: &str, host: &str, path: &str) -> Vec<u8> {
    [(":method", method), (":scheme", "http"), (":authority", host), (":path", path)]
        .map(|(name, value)| field(name, value))
        .concat()
}

/// The beginning of a request. `flags`: 1 = no body, 4 = no more fields.
pub(crate) fn request(stream: u32, flags: u8, host: &str, path: &str) -> Vec<u8> {
    frame(1, flags, stream, &fields("GET", host, path))
}

/// A connection whose answers are collected.
pub(crate) struct Raw {
    pub(crate) write: OwnedWriteHalf,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
    reading: JoinHandle<()>,
}

impl Raw {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
        write.write_all(BEGIN).await.unwrap();
        let seen = Arc::default();
        Self { write, seen: Arc::clone(&seen), reading: tokio::spawn(collect(read, seen)) }
    }

    /// Every frame that came so far, header and payload.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }

    /// How many frames of this kind came so far.
    pub(crate) fn count(&self, kind: u8) -> usize {
        self.seen.lock().unwrap().iter().filter(|frame| frame[3] == kind).count()
    }

    /// Whether it could be written: the other side still listens.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        timeout(SOON, self.write.write_all(bytes)).await.expect("nobody reads").is_ok()
    }

    /// The same, when the other side has closed the connection.
    pub(crate) async fn answers(mut self) -> Vec<Vec<u8>> {
        timeout(SOON, &mut self.reading).await.expect("the connection stays open").unwrap();
        self.seen()
    }

    /// How its last GOAWAY explains that.
    pub(crate) async fn goaway(self) -> Option<u32> {
        let answers = self.answers().await;
        let last = answers.iter().rfind(|frame| frame[3] == 7)?;
        Some(u32::from_be_bytes(last[13..17].try_into().unwrap()))
    }
}

async fn collect(mut read: OwnedReadHalf, seen: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let mut header = [0; 9];
        if read.read_exact(&mut header).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let mut frame = header.to_vec();
        frame.resize(9 + length, 0);
        if read.read_exact(&mut frame[9..]).await.is_err() {
            return;
        }
        seen.lock().unwrap().push(frame);
    }
}
