//! Stopping: the first SIGTERM or SIGINT asks, the second ends the process.

use std::{io, process};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Exit status after a second signal, as a shell reports a process that SIGTERM ended.
const FORCED: i32 = 143;

/// A token that is cancelled at the first SIGTERM or SIGINT. A second one ends the process at once.
///
/// # Errors
/// When the signal handlers cannot be installed.
pub fn on_signal() -> io::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if last {
                warn!("A second signal came: stopping without finishing.");
                process::exit(FORCED);
            }
            info!("Asked to stop: finishing what runs. A second signal stops at once.");
            asked.cancel();
        }
    });
    Ok(token)
}
