//! How the scaler names to Kubernetes the pods that are to go first.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{Answered, CALLS, Key, Scaler, now, write};
use crate::scaling::{drain::Marking, write::Cost};

impl Scaler {
    /// Writes deletion costs. What does not show its effect is asked for again.
    pub(super) fn mark(&mut self, key: &Key, revision: String, marking: &Marking) {
        if self.calls.len() >= CALLS {
            if let Some(tended) = self.functions.get_mut(key) {
                tended.state.mark_postponed(marking, now());
            }
            return;
        }
        let cost = |pod: Arc<Pod>| {
            let uid = pod.uid()?;
            let first = marking.set.contains(&uid);
            (first || marking.clear.contains(&uid)).then(|| Cost { name: pod.name_any(), uid, first })
        };
        let pods: Vec<Cost> = self.cx.stores.pods.of(key).into_iter().filter_map(cost).collect();
        let (leadership, epoch) = (self.cx.leadership.clone(), self.epoch);
        self.call(key, revision, move |client, namespace, _| async move {
            Answered::Marked(write::costs(client, &leadership, epoch, &namespace, pods).await)
        });
    }
}
