//! The watches: lists and changes of functions, triggers, deployments and pods, cluster-wide, into the index.

mod backoff;
mod feed;
mod kinds;

use std::sync::Arc;

use crds::labels;
use futures::FutureExt as _;
use kube::Client;
use kube::runtime::watcher;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use backoff::Doubling;
pub use feed::Listed;
use feed::feed;

use crate::index::Index;
use crate::probe::Prober;

/// Objects in one answer to a list: bounds the memory of the first look at a big cluster.
const PAGE: u32 = 250;

/// Starts the watches. They run until `stop`, whatever happens to the API server meanwhile.
pub fn start(
    client: &Client,
    index: &Arc<Index>,
    prober: &Prober,
    listed: &Arc<Listed>,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let ours = watcher::Config::default().labels(labels::FUNCTION).page_size(PAGE);
    let all = watcher::Config::default().page_size(PAGE);
    let mut tasks = JoinSet::new();
    let stopped = |watch| {
        let stop = stop.clone();
        async move {
            stop.run_until_cancelled(watch).await;
        }
    };
    let functions = kinds::Functions { index: Arc::clone(index), prober: prober.clone() };
    tasks.spawn(stopped(feed(client.clone(), all.clone(), functions, listed.ticket()).boxed()));
    let triggers = kinds::Triggers { index: Arc::clone(index) };
    tasks.spawn(stopped(feed(client.clone(), all, triggers, listed.ticket()).boxed()));
    let deployments = kinds::Deployments { index: Arc::clone(index) };
    tasks.spawn(stopped(feed(client.clone(), ours.clone(), deployments, listed.ticket()).boxed()));
    let pods = kinds::Pods { index: Arc::clone(index), prober: prober.clone() };
    tasks.spawn(stopped(feed(client.clone(), ours, pods, listed.ticket()).boxed()));
    tasks
}
