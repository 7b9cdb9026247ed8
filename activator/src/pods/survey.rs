//! A look at every pod each second: for those that have gone silent, and for how fast they answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crds::function::Protocol;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::Pod;
use super::outlier::Watch;
use crate::function::Function;
use crate::index::Index;
use crate::metrics::{Ejection, Metrics};
use crate::probe;

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Looks until `stop`.
pub async fn run(index: Arc<Index>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut survey = Survey::default();
    let mut every = interval(EVERY);
    // After a pause of the whole process every pod seems silent; several looks in a row would make it worse.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        for Found { function, pod, ejected } in survey.look(&index.functions(), Instant::now()) {
            if ejected {
                metrics.ejected(Ejection::Silence);
            }
            tokio::spawn(ask(function, pod, Arc::clone(&metrics)));
        }
    }
}

/// A pod that gives no answers.
struct Found {
    function: Arc<Function>,
    pod: Arc<Pod>,
    /// Whether it is left alone already.
    ejected: bool,
}

/// Asks a pod for a sign of life. One that gives none is left alone, and what waits there may go elsewhere. One that is alive is
/// slow with what it has, and another one would be as slow.
async fn ask(function: Arc<Function>, pod: Arc<Pod>, metrics: Arc<Metrics>) {
    let Some(pool) = pod.pool().filter(|pool| pool.target().protocol == Protocol::HTTP1) else { return };
    if probe::is_alive(pool.target().address, &function.key.name).await {
        return;
    }
    pod.find_lifeless();
    if function.eject(&pod, "it gives no sign of life", Instant::now()) {
        metrics.ejected(Ejection::Silence);
    }
    info!(function = %function.key, pod = %pod.name, "What waits at a pod without a sign of life may go elsewhere.");
    pool.give_up();
}

/// What is remembered of pods, by UID.
#[derive(Debug, Default)]
struct Survey {
    watches: HashMap<Arc<str>, Watch>,
}

impl Survey {
    /// The pods that were found silent, and are left alone from now on, or quiet.
    fn look(&mut self, functions: &[Arc<Function>], now: Instant) -> Vec<Found> {
        let mut before = std::mem::take(&mut self.watches);
        let mut found = Vec::new();
        for function in functions {
            let serving = function.serving.load();
            if !serving.is_empty() {
                function.look_at_drain(now);
            }
            if serving.len() < 2 {
                continue;
            }
            let all: u64 = serving.iter().map(|pod| pod.pulse.heads()).sum();
            for pod in serving.iter() {
                let mut watch = before.remove(&pod.uid).unwrap_or_default();
                let heads = pod.pulse.heads();
                let silent = watch.look(heads, pod.slots.read().in_flight, all.saturating_sub(heads), now);
                let quiet = watch.is_quiet(heads, pod.pulse.awaited(), all.saturating_sub(heads), now);
                let ejected = silent && pod.is_ready() && function.eject(pod, "it gives no answers", now);
                // One that cannot be reached is not ready any more, and may hold on to requests all the same.
                if ejected || quiet {
                    found.push(Found { function: Arc::clone(function), pod: Arc::clone(pod), ejected });
                }
                self.watches.insert(Arc::clone(&pod.uid), watch);
            }
        }
        found
    }
}
