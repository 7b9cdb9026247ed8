//! How the scaler brings pods down to their own CPU limit after their start.

use std::sync::Arc;

use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::{Answered, Key, Scaler, Step, now, tell, write};

/// So many calls may be open for a resize to be added: raises are in more of a hurry and find places.
const BEFORE: usize = 16;

impl Scaler {
    pub(super) fn resize(&mut self, key: &Key, step: Step) {
        match step {
            Step::Resize { revision, pod } if self.calls.len() < BEFORE => self.give_limit(key, revision, pod),
            // Each answer brings another look at its function, and each second one at every function that runs.
            Step::Resize { pod, .. } => {
                if let Some(tended) = self.functions.get_mut(key) {
                    tended.state.resize_postponed(&pod, now());
                }
            }
            Step::Stuck { revision, pod } => {
                self.cx.metrics.stuck();
                if let Some(pod) = self.pod(key, &pod) {
                    let words = format!("the node of pod {} does not put it in force", pod.name_any());
                    self.limit_refused(key, &revision, &words);
                }
            }
        }
    }

    /// Gives a pod the CPU limit that its annotation names. A pod that is gone wants none.
    fn give_limit(&mut self, key: &Key, revision: String, uid: String) {
        let Some(pod) = self.pod(key, &uid) else { return };
        let Some(limit) = pod.annotations().get(labels::CPU_LIMIT).cloned() else { return };
        let (leadership, epoch) = (self.cx.leadership.clone(), self.epoch);
        self.call(key, revision, move |client, namespace, _| async move {
            let name = pod.name_any();
            let outcome = write::cpu_limit(client, &leadership, epoch, (&namespace, &name), &uid, &limit).await;
            Answered::Resized { pod: uid, outcome }
        });
    }

    /// A pod keeps the CPU limit of its start. The revision's next start goes without a boost.
    pub(super) fn limit_refused(&self, key: &Key, revision: &str, words: &str) {
        let Some(tended) = self.functions.get(key) else { return };
        if self.cx.refusals.note(&tended.uid, revision) {
            tell::unresized(&self.cx, key, revision, words);
        }
    }

    fn pod(&self, key: &Key, uid: &str) -> Option<Arc<Pod>> {
        self.cx.stores.pods.of(key).into_iter().find(|pod| pod.metadata.uid.as_deref() == Some(uid))
    }
}
