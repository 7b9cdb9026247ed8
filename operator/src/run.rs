//! The life of the process: watch, stand for election, work while leading, stop.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use prometheus_client::registry::Registry;
use runtime::{admin, client};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    args::Args,
    boost,
    context::Parts,
    events::Events,
    leadership::{self, Leadership},
    metrics::Metrics,
    scaling,
    settings::Settings,
    stores::Stores,
    work::Work,
};

/// For releasing the lease at the end.
const RELEASE: Duration = Duration::from_secs(5);

/// Runs the operator until `stop`. A standby watches what a leader watches, so that it can take over at once.
///
/// # Errors
/// When there is no way to the API server, a port is taken, or a watch ends.
pub async fn until(stop: CancellationToken, args: Args) -> anyhow::Result<()> {
    // An error says that a default is set already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let clients = client::connect().await?;
    let mut tasks = JoinSet::new();
    let stores = Stores::watch(&clients.watch, &args.pod_namespace, &mut tasks);

    let mut registry = Registry::default();
    let metrics = Metrics::default();
    metrics.register(&mut registry, stores.functions.clone());
    let scaling_metrics = scaling::Metrics::register(&mut registry);
    let readiness = admin::Readiness::default();
    let routes = admin::routes(Arc::new(registry), readiness.clone());
    let served = admin::serve(args.admin_port, routes, stop.clone().cancelled_owned()).await;
    let address = served.with_context(|| format!("port {} for health and metrics", args.admin_port))?;
    info!(%address, version = env!("CARGO_PKG_VERSION"), "The operator runs: health and metrics are served here.");

    let mut settings = Settings::new(&args);
    let prepared = async {
        stores.synced().await;
        settings.boost.is_some() && boost::offered(&clients.call).await
    };
    let boosts = tokio::select! {
        boosts = prepared => boosts,
        () = stop.cancelled() => return Ok(()),
        _ = tasks.join_next() => bail!("a watch ended"),
    };
    settings.boost = settings.boost.filter(|_| boosts);
    scaling_metrics.boosts.set(boosts.into());
    readiness.set(true);

    // The lease is released last, after the work under it has ended.
    let release = CancellationToken::new();
    let election = leadership::Settings {
        namespace: args.pod_namespace.clone(),
        pod: args.pod_name.clone(),
        duration: args.lease,
    };
    let (leadership, election) = leadership::start(clients.call.clone(), election, release.clone());
    let (events, write_events) = Events::new(clients.call.clone(), &args.pod_name, leadership.clone(), metrics.clone());
    tasks.spawn(write_events);
    let parts = Parts { client: clients.call, stores, settings, events, metrics, leadership: leadership.clone() };
    let work = Work::new(&args, parts, scaling_metrics);
    let ended = tokio::select! {
        () = terms(leadership, &work) => Err(anyhow::anyhow!("the election ended")),
        () = stop.cancelled() => Ok(()),
        _ = tasks.join_next() => Err(anyhow::anyhow!("a watch ended")),
    };
    readiness.set(false);
    release.cancel();
    if timeout(RELEASE, election).await.is_err() {
        warn!("The lease could not be released in time; it runs out by itself.");
    }
    info!("Stopped.");
    ended
}

/// Works during each term of this process. What runs is dropped the moment that a term is over.
async fn terms(mut leadership: Leadership, work: &Work) {
    while let Some(term) = leadership.won().await {
        info!(epoch = term.epoch, "This process leads.");
        tokio::select! {
            () = work.lead(term) => {}
            () = leadership.lost(term.epoch) => {}
        }
        warn!(epoch = term.epoch, "This process does not lead any more.");
        work.over();
    }
}
