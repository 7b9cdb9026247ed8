//! Keeps connections to the API server open: a wake over a closed one pays for TCP and TLS first.

use std::time::Duration;

use kube::Client;
use runtime::client::within;
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// Well below the 90 s for which the client keeps an unused connection.
const EVERY: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(2);
/// Wakes that find a connection at once. HTTP/1.1: each takes one.
const CONNECTIONS: usize = 4;

/// Asks for the API server's version over several connections at once, every 20 s, until `stop`.
pub async fn keep(client: Client, stop: CancellationToken) {
    let mut every = tokio::time::interval(EVERY);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        let asked = (0..CONNECTIONS).map(|_| within(DEADLINE, client.apiserver_version()));
        for answer in futures::future::join_all(asked).await {
            if let Err(error) = answer {
                debug!(%error, "A connection to the API server could not be kept warm.");
            }
        }
    }
}
