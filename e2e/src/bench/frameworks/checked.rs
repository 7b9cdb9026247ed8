//! 1,000 requests, 50 at once, of which every answer is looked at.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::{task::JoinSet, time::timeout};

use super::CONNECTIONS;
use crate::http::Connection;

/// How many in all.
pub(super) const REQUESTS: usize = 1_000;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checked {
    pub(super) answered: usize,
    /// Why others have failed, one entry each.
    pub(super) failed: Vec<String>,
}

/// Asks over [`CONNECTIONS`] kept connections. Each answer must be 200 with this body.
///
/// # Errors
/// When nothing listens there.
pub(super) async fn ask(address: SocketAddr, host: &str, body: &'static str) -> Result<Checked> {
    // All are open before the first request is sent.
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let mut callers = JoinSet::new();
    for mut connection in connections {
        let host = host.to_owned();
        callers.spawn(async move {
            let mut checked = Checked::default();
            for _ in 0..REQUESTS / CONNECTIONS {
                match one(&mut connection, &host, body).await {
                    Ok(()) => checked.answered += 1,
                    Err(error) => {
                        checked.failed.push(format!("{error:#}"));
                        connection = Connection::open(address).await?;
                    }
                }
            }
            anyhow::Ok(checked)
        });
    }
    let mut all = Checked::default();
    while let Some(caller) = callers.join_next().await {
        let Checked { answered, failed } = caller??;
        all.answered += answered;
        all.failed.extend(failed);
    }
    Ok(all)
}

async fn one(connection: &mut Connection, host: &str, body: &str) -> Result<()> {
    let answer =
        timeout(PATIENCE, connection.get(host, "/")).await.with_context(|| format!("{PATIENCE:?} passed"))??;
    ensure!(answer.status == 200, "the status was {}", answer.status);
    ensure!(answer.text() == body, "the answer was {:?}", answer.text());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// A server whose answers, from the first on, are these; and the last of them ever after.
    async fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    let mut buffer = [0; 1024];
                    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
                        let place = asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
                        if stream.write_all(answers[place].as_bytes()).await.is_err() || answers[place].is_empty() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    const STATUS: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nhi";
    const OTHER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nho";

    #[tokio::test]
    async fn all_are_asked_and_each_answer_counts() {
        let good = ask(server(&[GOOD]).await, "a", "hi").await.unwrap();
        assert_eq!(good, Checked { answered: REQUESTS, failed: Vec::new() });
        // The third is closed without an answer.
        let bad = ask(server(&[STATUS, GOOD, "", OTHER, GOOD]).await, "a", "hi").await.unwrap();
        assert_eq!((bad.answered, bad.failed.len()), (REQUESTS - 3, 3), "{:?}", bad.failed);
        for said in ["503", "\"ho\""] {
            assert!(bad.failed.iter().any(|why| why.contains(said)), "{:?}", bad.failed);
        }
        assert!(ask("127.0.0.1:1".parse().unwrap(), "a", "hi").await.is_err());
    }
}
