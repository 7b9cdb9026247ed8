//! A look at every pod each second, for those that have gone silent.

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
        for (function, pod) in survey.look(&index.functions(), Instant::now()) {
            metrics.ejected(Ejection::Silence);
            tokio::spawn(give_up(function, pod));
        }
    }
}

/// What waits at a pod that has gone silent may go elsewhere, if the pod is dead. One that is alive is slow with what it has,
/// and would be as slow again.
async fn give_up(function: Arc<Function>, pod: Arc<Pod>) {
    let Some(pool) = pod.pool().filter(|pool| pool.target().protocol == Protocol::HTTP1) else { return };
    if !probe::is_alive(pool.target().address, &function.key.name).await {
        info!(function = %function.key, pod = %pod.name, "A pod gives no sign of life: no request waits for it that can go elsewhere.");
        pool.give_up();
    }
}

/// What is remembered of pods, by UID.
#[derive(Debug, Default)]
struct Survey {
    watches: HashMap<Arc<str>, Watch>,
}

impl Survey {
    /// The pods that were found silent and are left alone from now on.
    fn look(&mut self, functions: &[Arc<Function>], now: Instant) -> Vec<(Arc<Function>, Arc<Pod>)> {
        let mut before = std::mem::take(&mut self.watches);
        let mut found = Vec::new();
        for function in functions {
            let serving = function.serving.load();
            if serving.len() < 2 {
                continue;
            }
            let all: u64 = serving.iter().map(|pod| pod.pulse.heads()).sum();
            for pod in serving.iter() {
                let mut watch = before.remove(&pod.uid).unwrap_or_default();
                let heads = pod.pulse.heads();
                let silent = watch.look(heads, pod.slots.read().in_flight, all.saturating_sub(heads), now);
                if silent && pod.is_ready() && function.eject(pod, "it gives no answers", now) {
                    found.push((Arc::clone(function), Arc::clone(pod)));
                }
                self.watches.insert(Arc::clone(&pod.uid), watch);
            }
        }
        found
    }
}
