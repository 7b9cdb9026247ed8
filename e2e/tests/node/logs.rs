//! What a function's pods wrote, also those that are gone by now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::{labels, names};
use e2e::scene::Scene;
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use tokio::task::{JoinHandle, JoinSet};

/// The logs of every pod that a function had since [`Logs::follow`].
pub(crate) struct Logs {
    lines: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    task: JoinHandle<()>,
}

impl Logs {
    /// Begins to read along, as `kubectl logs --follow` does with one pod.
    pub(crate) fn follow(scene: &Scene, function: &str) -> Self {
        let (pods, selector) = (scene.api::<Pod>(), format!("{}={function}", labels::FUNCTION));
        let lines = Arc::default();
        let task = tokio::spawn(follow(pods, selector, Arc::clone(&lines)));
        Self { lines, task }
    }

    /// All lines so far, pod by pod.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(pods: Api<Pod>, selector: String, lines: Arc<Mutex<BTreeMap<String, Vec<String>>>>) {
    let (mut known, mut readers) = (BTreeSet::new(), JoinSet::new());
    loop {
        for pod in pods.list(&ListParams::default().labels(&selector)).await.into_iter().flatten() {
            if known.insert(pod.name_any()) {
                readers.spawn(read(pods.clone(), pod.name_any(), Arc::clone(&lines)));
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Reads a pod's log until the pod is gone. A reader that is cut off begins anew from the first line.
async fn read(pods: Api<Pod>, pod: String, lines: Arc<Mutex<BTreeMap<String, Vec<String>>>>) {
    let parameters = LogParams { follow: true, container: Some(names::CONTAINER.to_owned()), ..LogParams::default() };
    while !matches!(pods.get_opt(&pod).await, Ok(None)) {
        if let Ok(stream) = pods.log_stream(&pod, &parameters).await {
            let (mut stream, mut here) = (stream.lines(), Vec::new());
            while let Ok(Some(line)) = stream.try_next().await {
                here.push(line);
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                let known = lines.entry(pod.clone()).or_default();
                if here.len() > known.len() {
                    known.clone_from(&here);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
