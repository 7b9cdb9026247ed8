//! The process: its parts, how they hang together, and in which order they stop.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use crds::route::Domains;
use prometheus_client::registry::Registry;
use runtime::admin::{self, Readiness};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;
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
    let ended = async {
        serving.wait().await;
        tunnels.done().await;
    };
    tokio::select! {
        () = ended => info!("Every request has ended."),
        () = sleep(args.drain) => warn!("Requests are cut off: the time for them to end is up."),
    }
    cut.cancel();
    tracing.stop().await;
    drop(watches);
    Ok(())
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
