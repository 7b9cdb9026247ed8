//! The threads that serve callers: each has a runtime, a listening socket and connections to pods of its own, so that no
//! request goes from one thread to another on its way. What they share they only read, or count in one word.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use http::Response;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use tracing::error;

use super::{Room, listen, serve};
use crate::path::body::ResponseBody;
use crate::path::call::Accepted;

/// Without a word of how many there are to be: one for each core, up to this. More would only be more connections to pods.
const MOST: usize = 8;

static COUNT: AtomicUsize = AtomicUsize::new(1);

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// How many there are; one in a process that has started none.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Which one this thread is, counted from 0; 0 in a thread that is none.
pub fn index() -> usize {
    INDEX.get()
}

/// One for each core of the machine, or of the process' share of it.
pub fn per_core() -> NonZeroUsize {
    thread::available_parallelism()
        .map_or(NonZeroUsize::MIN, |cores| cores.min(NonZeroUsize::MIN.saturating_add(MOST - 1)))
}

/// Starts them, to be called once in a process and before the first pod is seen. What is given back is done when all have
/// ended; see [`serve`] for when that is.
///
/// # Errors
/// When the port is taken, or the operating system gives no thread.
pub fn start<P>(
    port: u16,
    workers: NonZeroUsize,
    path: &P,
    room: &Room,
    stop: &CancellationToken,
    cut: &CancellationToken,
) -> io::Result<TaskTracker>
where
    P: Service<Accepted, Response = Response<ResponseBody>, Error = Infallible, Future: Future + Send + 'static>
        + Clone
        + Send
        + 'static,
{
    COUNT.store(workers.get(), Ordering::Relaxed);
    let running = TaskTracker::new();
    for (index, listener) in listen::listen(port, workers)?.into_iter().enumerate() {
        let (path, room, stop, cut) = (path.clone(), room.clone(), stop.clone(), cut.clone());
        let runs = running.token();
        // On a thread of its own, so that no other work of the process delays a request.
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            INDEX.set(index);
            runtime.block_on(async {
                match TcpListener::from_std(listener) {
                    Ok(listener) => serve(listener, path, room, stop, cut).await,
                    Err(error) => error!(%error, "A worker cannot listen."),
                }
            });
            drop(runs);
        })?;
    }
    running.close();
    Ok(running)
}
