//! A look at every pod each second: for those that have gone silent, and for how fast they answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::outlier::Watch;
use crate::function::Function;
use crate::index::Index;
use crate::metrics::{Ejection, Metrics};

/// From one look to the next.
const EVERY: Duration = Duration::from_secs(1);

/// Looks until `stop`.
pub async fn run(index: Arc<Index>, metrics: Arc<Metrics>, stop: CancellationToken) {
    let mut survey = Survey::default();
    let mut every = interval(EVERY);
    // After a pause of the whole process every pod seems silent; several looks in a row would make it worse.
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(every.tick()).await.is_some() {
        for _ in 0..survey.look(&index.functions(), Instant::now()) {
            metrics.ejected(Ejection::Silence);
        }
    }
}

/// What is remembered of pods, by UID.
#[derive(Debug, Default)]
struct Survey {
    watches: HashMap<Arc<str>, Watch>,
}

impl Survey {
    /// How many pods were found silent and are left alone from now on.
    fn look(&mut self, functions: &[Arc<Function>], now: Instant) -> usize {
        let mut before = std::mem::take(&mut self.watches);
        let mut found = 0;
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
                found += usize::from(silent && pod.is_ready() && function.eject(pod, "it gives no answers", now));
                self.watches.insert(Arc::clone(&pod.uid), watch);
            }
        }
        found
    }
}
