//! Which activators count: those that may be serving requests now. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::view::is_ready;

/// How long an activator that is not Ready still counts. It may be serving requests with its probe failing, or on a node
/// that is cut off; for ever would let one lost node keep every function running.
pub const NOT_READY_COUNTS: Duration = Duration::from_secs(60);

/// Remembers since when each activator is not Ready, by this process's own clock.
#[derive(Debug, Default)]
pub struct Known {
    unready_since: BTreeMap<String, Instant>,
}

impl Known {
    /// UIDs of the activators that count: their pod has an address, has not ended, and was Ready within the last minute.
    pub fn counting(&mut self, pods: &[Arc<Pod>], now: Instant) -> BTreeSet<String> {
        let mut unready = BTreeMap::new();
        let mut counting = BTreeSet::new();
        for pod in pods {
            let Some(uid) = pod.uid().filter(|_| has_address(pod)) else { continue };
            if is_ready(pod) {
                counting.insert(uid);
                continue;
            }
            let since = self.unready_since.get(&uid).copied().unwrap_or(now);
            if now.saturating_duration_since(since) < NOT_READY_COUNTS {
                counting.insert(uid.clone());
            }
            unready.insert(uid, since);
        }
        self.unready_since = unready;
        counting
    }
}

fn has_address(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let ended = matches!(status.phase.as_deref(), Some("Succeeded" | "Failed"));
    !ended && status.pod_ip.as_deref().is_some_and(|ip| !ip.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(uid: &str, ip: Option<&str>, phase: &str, ready: &str) -> Arc<Pod> {
        let status = json!({"phase": phase, "podIP": ip, "conditions": [{"type": "Ready", "status": ready}]});
        Arc::new(serde_json::from_value(json!({"metadata": {"name": uid, "uid": uid}, "status": status})).unwrap())
    }

    #[test]
    fn an_activator_counts_while_it_may_serve() {
        let start = Instant::now();
        let mut known = Known::default();
        let pods = [
            pod("ready", Some("10.0.0.1"), "Running", "True"),
            pod("starting", None, "Pending", "False"),
            pod("ended", Some("10.0.0.2"), "Failed", "False"),
            pod("unready", Some("10.0.0.3"), "Running", "False"),
        ];
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&known.counting(&pods, start)), ["ready", "unready"]);
        let late = start + NOT_READY_COUNTS;
        assert_eq!(names(&known.counting(&pods, late - Duration::from_millis(1))), ["ready", "unready"]);
        assert_eq!(names(&known.counting(&pods, late)), ["ready"]);
        // Ready once more: the minute starts again.
        assert_eq!(known.counting(&[pod("unready", Some("10.0.0.3"), "Running", "True")], late).len(), 1);
        assert_eq!(names(&known.counting(&pods, late)), ["ready", "unready"]);
    }
}
