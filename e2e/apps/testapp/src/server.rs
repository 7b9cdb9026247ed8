//! From start to end: delays and crashes on demand, the accept loop, and the two ways to end.

use std::io;
use std::net::Ipv4Addr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::connection;
use crate::settings::{Crash, Settings};

/// Serves until SIGTERM.
pub(crate) async fn run(settings: Settings) -> io::Result<()> {
    // Before anything else: process 1 of a container has no default action for it.
    let mut terminated = signal(SignalKind::terminate())?;
    if settings.crash == Some(Crash::AtStart) {
        return Err(io::Error::other("crashing at start, as told"));
    }
    tokio::select! {
        () = sleep(settings.start_delay) => {}
        _ = terminated.recv() => return Ok(()),
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, settings.port)).await?;
    println!("listening on port {}", settings.port);

    let (ending, _) = watch::channel(false);
    let mut connections = JoinSet::new();
    let crash = crash(settings.crash);
    tokio::pin!(crash);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(connection::serve(stream, settings.idle_close, ending.subscribe()));
            }
            Some(_) = connections.join_next() => {}
            error = &mut crash => return Err(error),
            _ = terminated.recv() => break,
        }
    }
    if settings.exit_on_sigterm {
        return Ok(());
    }
    // New callers are refused; those already served are served to the end.
    drop(listener);
    ending.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Ends when it is time to crash.
async fn crash(when: Option<Crash>) -> io::Error {
    let Some(Crash::After(delay)) = when else { return std::future::pending().await };
    sleep(delay).await;
    io::Error::other("crashing after a while, as told")
}
