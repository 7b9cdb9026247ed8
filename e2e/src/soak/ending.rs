//! How a scenario ends: by itself or not, it always ends here, so that what it changed is put back.

use std::{any::Any, future::Future, panic::AssertUnwindSafe, time::Duration};

use anyhow::{Context, Error, Result, anyhow};
use futures::FutureExt;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::steps::seconds;

/// The signals that ask a run to end. From its making on they no longer end the process.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// # Errors
    /// When the system does not let them be listened for.
    pub(super) fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The next one, as an error.
    pub(super) async fn next(&mut self) -> Error {
        tokio::select! {
            _ = self.interrupt.recv() => anyhow!("interrupted"),
            _ = self.terminate.recv() => anyhow!("told to end (SIGTERM)"),
        }
    }
}

/// Runs `scenario` to its end, at most for `limit`, and not past `stop`.
///
/// # Errors
/// Its own; and when it panics, is not done in time, or is stopped.
pub(super) async fn ended(
    scenario: impl Future<Output = Result<()>>,
    limit: Duration,
    stop: impl Future<Output = Error>,
) -> Result<()> {
    // What a panic leaves half done is only read: samples, and a report that is longer or shorter.
    let scenario = AssertUnwindSafe(scenario).catch_unwind();
    tokio::select! {
        ended = scenario => ended.unwrap_or_else(|panic| Err(anyhow!("panicked: {}", words(&*panic)))),
        () = tokio::time::sleep(limit) => Err(anyhow!("not done within {}", seconds(limit))),
        error = stop => Err(error),
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    async fn why(scenario: impl Future<Output = Result<()>>, limit: Duration) -> String {
        ended(scenario, limit, pending()).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn its_own_end_is_the_end() {
        assert!(ended(ready(Ok(())), LONG, pending()).await.is_ok());
        assert_eq!(why(ready(Err(anyhow!("no pod"))), LONG).await, "no pod");
    }

    #[tokio::test]
    async fn a_panic_is_an_end_like_another() {
        let number = 7;
        assert_eq!(why(async { panic!("with {number}") }, LONG).await, "panicked: with 7");
        assert_eq!(why(async { panic!("plainly") }, LONG).await, "panicked: plainly");
        assert_eq!(why(async { std::panic::panic_any(number) }, LONG).await, "panicked: without a word");
    }

    #[tokio::test]
    async fn the_limit_and_a_signal_break_it_off() {
        assert!(why(pending(), Duration::ZERO).await.starts_with("not done within"));
        let stopped = ended(pending(), LONG, ready(anyhow!("interrupted"))).await;
        assert_eq!(stopped.unwrap_err().to_string(), "interrupted");
    }

    #[tokio::test]
    async fn each_signal_is_noticed_and_does_not_end_the_process() {
        let mut signals = Signals::new().unwrap();
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        assert_eq!(signals.next().await.to_string(), "told to end (SIGTERM)");
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGINT).unwrap();
        assert_eq!(signals.next().await.to_string(), "interrupted");
    }
}
