//! How HTTP/2 connections to the activator end, seen in their frames: no library in between could make up for a missing word.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    http::streaming,
    soak::floods::frames::{BEGIN, frame},
};

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// An unused connection is told so in the end. It is not what is looked for, so it is left before that.
const LONGEST: Duration = Duration::from_secs(50);
const PAUSE: Duration = Duration::from_millis(200);
/// Settings and pings are small, and no stream is opened.
const MOST: usize = 16 * 1024;

/// Connections that are kept open, each opened again when it has ended. Dropping it closes them.
pub(super) struct Goodbyes {
    ended: Arc<Mutex<Vec<Option<String>>>>,
    _connections: JoinSet<()>,
}

impl Goodbyes {
    pub(super) fn watch(entry: SocketAddr, connections: usize) -> Self {
        let ended: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
        let mut all = JoinSet::new();
        for _ in 0..connections {
            let ended = Arc::clone(&ended);
            all.spawn(async move {
                loop {
                    let Ok(stream) = streaming::connect(entry).await else {
                        sleep(PAUSE).await;
                        continue;
                    };
                    if let Ok(end) = timeout(LONGEST, end(stream)).await {
                        let wrong = end.err().map(|error| format!("{error:#}"));
                        ended.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
                    }
                }
            });
        }
        Self { ended, _connections: all }
    }

    /// How many ended with a GOAWAY without an error, and how the others did.
    pub(super) fn told(&self) -> (usize, Vec<String>) {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let others: Vec<String> = ended.iter().flatten().cloned().collect();
        (ended.len() - others.len(), others)
    }
}

/// Reads to the end.
///
/// # Errors
/// When that came without a GOAWAY, or with an error in it.
async fn end(mut stream: TcpStream) -> Result<()> {
    stream.write_all(BEGIN).await?;
    let mut goaway = None;
    loop {
        let mut head = [0; 9];
        if let Err(error) = stream.read_exact(&mut head).await {
            return match goaway {
                Some(0) => Ok(()),
                Some(code) => bail!("GOAWAY with code {code}"),
                None => bail!("no GOAWAY: {error}"),
            };
        }
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        if length > MOST {
            bail!("a frame of {length} bytes");
        }
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await?;
        match (head[3], head[4]) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, 1, 0, b"")).await?,
            (PING, 0) => stream.write_all(&frame(PING, 1, 0, &payload)).await?,
            (GOAWAY, _) => {
                goaway = payload.get(4..8).map(|code| code.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)))
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_ends_without_a_word_is_found() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let goaway = |code: u8| frame(GOAWAY, 0, 0, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, code]);
        for (said, told) in [(goaway(0), true), (goaway(11), false), (frame(SETTINGS, 0, 0, b""), false)] {
            let (stream, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
            let mut server = accepted.unwrap().0;
            let pinged = [frame(PING, 0, 0, b"12345678"), said].concat();
            server.write_all(&pinged).await.unwrap();
            server.shutdown().await.unwrap();
            assert_eq!(end(stream.unwrap()).await.is_ok(), told);
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            assert!(heard.ends_with(b"12345678") || heard.ends_with(&frame(SETTINGS, 1, 0, b"")), "{heard:?}");
        }
    }
}
