//! The process: its parts, how they hang together, and in which order they stop.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crds::route::Domains;
use prometheus_client::registry::Registry;
use runtime::admin::{self, Readiness};
use tokio::time::{interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::args::Args;
use crate::debug::View;
use crate::hold::Places;
use crate::index::Index;
use crate::link::{self, Beacon};
use crate::metrics::{Levels, Metrics};
use crate::path::tracing::Tracing;
use crate::path::{self, tunnel::Tunnels};
use crate::pods::survey;
use crate::probe::Prober;
use crate::routes::Table;
use crate::server::{Room, workers};
use crate::wake::{self, Waker};
use crate::{clock, watch};

/// How often unused connections to pods are looked through.
const SWEEP: Duration = Duration::from_secs(5);
/// What it takes at most to break off all connections; less than what the chart adds to a drain.
const BREAK_OFF: Duration = Duration::from_secs(2);

/// Runs the activator until it is told to stop, and then until its requests have ended or `drain` has passed.
///
/// # Errors
/// When a port cannot be bound, or there is no way to the API server's address.
pub async fn run(args: Args) -> anyhow::Result<()> {
    clock::now();
    let stop = runtime::shutdown::on_signal().context("signals cannot be handled")?;
    let cut = CancellationToken::new();
    let clients = runtime::client::connect().await.context("no API client")?;
    let limits = Arc::new(args.limits.clone());

    let tracing = Tracing::start(&args.otlp_endpoint, &args.pod_name).context("traces cannot be sent")?;
    let mut registry = Registry::default();
    let metrics = Metrics::with(&mut registry, args.metrics_functions);
    let domains = Domains { external: args.domain.clone(), cluster: args.cluster_domain.clone() };
    let table = Arc::new(Table::new(domains));
    let beacon = Arc::new(Beacon::default());
    let index = Arc::new(Index::new(Arc::clone(&table), Arc::clone(&beacon)));
    let places = Places::new(&limits);
    let room = Room::new(&limits, &metrics);
    Levels::register(&mut registry, &metrics, &index, &places, &room.callers);

    let readiness = Readiness::default();
    // Health is answered to the very end: a kubelet that gets no answer would cut the drain short.
    let view = View::new(&index, &table, &places, &room.callers);
    let debug = admin::local("/debug", move |query| view.answer(query));
    let routes = admin::routes(Arc::new(registry), readiness.clone()).merge(debug);
    admin::serve(args.admin_port, routes, cut.clone().cancelled_owned()).await.context("the admin port is taken")?;

    let prober = Prober::new(Arc::clone(&beacon));
    let waker = Waker::new(clients.call.clone(), args.unschedulable, &metrics, &index, &beacon);
    let tunnels = Tunnels::new(cut.clone(), &limits, &metrics);
    tokio::spawn(survey::run(Arc::clone(&index), Arc::clone(&metrics), cut.clone()));
    let path = path::build(&path::Parts {
        table,
        limits: Arc::clone(&limits),
        places,
        waker,
        beacon: Arc::clone(&beacon),
        tunnels: tunnels.clone(),
        metrics: Arc::clone(&metrics),
        tracing: tracing.clone(),
    });
    // Before the first pod is seen: each worker has connections of its own to it.
    let workers = NonZeroUsize::new(args.workers).unwrap_or_else(workers::per_core);
    let serving = workers::start(args.port, workers, &path, &room, &stop, &cut)
        .context("requests cannot be served on their port")?;

    // The watches and the link outlast `stop`: held requests still need to see their pods come.
    let listed = Arc::new(watch::Listed::default());
    let watches = watch::start(&clients.watch, &index, &prober, &listed, &cut);
    tokio::spawn(wake::warm::keep(clients.call, cut.clone()));
    let identity = link::Identity {
        boot_id: uuid::Uuid::new_v4().to_string(),
        pod_name: args.pod_name,
        pod_uid: args.pod_uid,
        namespace: args.pod_namespace,
        token_file: args.token_file,
    };
    tokio::spawn(link::run(clients.watch, identity, Arc::clone(&index), beacon, cut.clone()));
    tokio::spawn(sweep(Arc::clone(&index), limits.pod_idle, cut.clone()));
    tokio::spawn(announce(listed, readiness.clone(), stop.clone()));

    info!(port = args.port, admin_port = args.admin_port, workers, "Listening.");

    stop.cancelled().await;
    readiness.set(false);
    end(&serving, &tunnels, args.drain, &cut).await;
    tracing.stop().await;
    drop(watches);
    Ok(())
}

/// Waits until every request has ended, or `drain` has passed, and cuts off what is left then.
///
/// Whoever serves a connection in the middle of an answer resets it where its end would look like the answer's. The kernel,
/// which closes what is open when the process ends, does not.
async fn end(serving: &TaskTracker, tunnels: &Tunnels, drain: Duration, cut: &CancellationToken) {
    let ended = async {
        serving.wait().await;
        tunnels.done().await;
    };
    tokio::select! {
        () = ended => info!("Every request has ended."),
        () = sleep(drain) => warn!("Requests are cut off: the time for them to end is up."),
    }
    cut.cancel();
    if timeout(BREAK_OFF, serving.wait()).await.is_err() {
        warn!("Some connections could not be broken off: to their callers half an answer may look like a whole one.");
    }
}

/// Ready once the first lists are in; not again after `stop`.
async fn announce(listed: Arc<watch::Listed>, readiness: Readiness, stop: CancellationToken) {
    if stop.run_until_cancelled(listed.all()).await.is_some() && !stop.is_cancelled() {
        info!("Ready: functions, triggers, deployments and pods are listed.");
        readiness.set(true);
    }
}

/// Closes connections to pods that have been unused for long.
async fn sweep(index: Arc<Index>, most: Duration, stop: CancellationToken) {
    let mut every = interval(SWEEP);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        for pod in index.pods() {
            if let Some(pool) = pod.pool() {
                pool.sweep(most);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use http::Response;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tower::service_fn;

    use super::*;
    use crate::args::Limits;
    use crate::path::body::ResponseBody;
    use crate::path::call::Accepted;
    use crate::world::eventually;

    const CALLERS: usize = 300;

    #[tokio::test]
    async fn what_is_cut_off_is_broken_off_before_the_process_ends() {
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let (limits, metrics) = (Arc::new(Limits::default()), Metrics::new(&mut Registry::default()));
        let (room, tunnels) = (Room::new(&limits, &metrics), Tunnels::new(cut.clone(), &limits, &metrics));
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let path = service_fn(move |_: Accepted| {
            count.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<Result<Response<ResponseBody>, Infallible>>()
        });
        let (port, serving) = loop {
            // Free a moment ago.
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let port = listener.local_addr().unwrap().port();
            drop(listener);
            if let Ok(serving) = workers::start(port, NonZeroUsize::MIN, &path, &room, &stop, &cut) {
                break (port, serving);
            }
        };
        let mut callers = Vec::new();
        for _ in 0..CALLERS {
            let mut caller = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            // To such a caller the end of the connection is that of the answer.
            caller.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            callers.push(caller);
        }
        eventually(|| asked.load(Ordering::SeqCst) == CALLERS).await;
        stop.cancel();
        end(&serving, &tunnels, Duration::ZERO, &cut).await;
        assert_eq!(room.callers.open(), 0, "left to the kernel");
        for mut caller in callers {
            assert_eq!(caller.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
    }
}
