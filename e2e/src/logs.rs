//! What a function's pods wrote, also those that are gone by now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use ::kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams},
};
use anyhow::{Result, ensure};
use crds::{labels, names};
use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use tokio::task::{JoinHandle, JoinSet};

use crate::scene::{PATIENCE, Scene, until};

/// How long the last lines may be under way when the last answer is there.
const LAST_LINES: Duration = PATIENCE;
/// How long no line may come before an id counts as logged no more often than it was seen: a request that arrived a second
/// time is logged after its first.
const QUIET: Duration = Duration::from_secs(1);

/// The logs of every pod that a function had since [`Logs::follow`].
#[derive(Debug)]
pub struct Logs {
    lines: Arc<Mutex<BTreeMap<String, Vec<String>>>>,
    task: JoinHandle<()>,
}

impl Logs {
    /// Begins to read along, as `kubectl logs --follow` does with one pod.
    pub fn follow(scene: &Scene, function: &str) -> Self {
        let (pods, selector) = (scene.api::<Pod>(), format!("{}={function}", labels::FUNCTION));
        let lines = Arc::default();
        let task = tokio::spawn(follow(pods, selector, Arc::clone(&lines)));
        Self { lines, task }
    }

    /// All lines so far, pod by pod.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).values().flatten().cloned().collect()
    }

    /// How often each id arrived at the test application, which logs those of POSTs.
    pub fn ids(&self) -> BTreeMap<String, usize> {
        let mut seen = BTreeMap::new();
        for lines in self.lines.lock().unwrap_or_else(PoisonError::into_inner).values() {
            for id in lines.iter().filter_map(|line| line.strip_prefix("id=")) {
                *seen.entry(id.to_owned()).or_default() += 1;
            }
        }
        seen
    }

    /// Waits until every id that was sent stands in the logs and no line has come for a second, and fails if one does not
    /// or stands there more than once.
    ///
    /// # Errors
    /// With the ids in question; and when lines keep coming for a minute.
    pub async fn exactly_once(&self, sent: &BTreeSet<String>) -> Result<()> {
        let complete = until("each id is in a log", LAST_LINES, async || {
            let seen = self.ids();
            Ok(sent.iter().all(|id| seen.contains_key(id)).then_some(()))
        });
        let complete = complete.await;
        let mut rest = Rest { lines: self.number(), since: Instant::now() };
        let rested = until("the logs rest", LAST_LINES, async || {
            Ok((rest.over(self.number(), Instant::now()) >= QUIET).then_some(()))
        });
        let rested = rested.await;
        each_once(&self.ids(), sent)?;
        complete.and(rested)
    }

    fn number(&self) -> usize {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).values().map(Vec::len).sum()
    }
}

/// A number of lines, and since when there are so many.
struct Rest {
    lines: usize,
    since: Instant,
}

impl Rest {
    /// For how long no line has come.
    fn over(&mut self, lines: usize, now: Instant) -> Duration {
        if lines != self.lines {
            *self = Self { lines, since: now };
        }
        now.saturating_duration_since(self.since)
    }
}

fn each_once(seen: &BTreeMap<String, usize>, sent: &BTreeSet<String>) -> Result<()> {
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times > 1).collect();
    let missing: Vec<_> = sent.iter().filter(|id| !seen.contains_key(*id)).collect();
    ensure!(twice.is_empty() && missing.is_empty(), "more than once: {twice:?}; never: {missing:?}");
    Ok(())
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
            let (mut stream, mut here) = (stream.lines(), 0);
            while let Ok(Some(line)) = stream.try_next().await {
                here += 1;
                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                let known = lines.entry(pod.clone()).or_default();
                if here > known.len() {
                    known.push(line);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_comes_begins_the_rest_anew() {
        let began = Instant::now();
        let after = |millis| began + Duration::from_millis(millis);
        let mut rest = Rest { lines: 2, since: began };
        assert_eq!(rest.over(2, after(900)), Duration::from_millis(900));
        assert_eq!(rest.over(3, after(950)), Duration::ZERO);
        assert_eq!(rest.over(3, after(1900)), Duration::from_millis(950));
        assert!(rest.over(3, after(1950)) >= QUIET);
    }

    #[test]
    fn an_id_too_many_and_one_too_few_are_named() {
        let seen = |ids: &[(&str, usize)]| ids.iter().map(|(id, times)| ((*id).to_owned(), *times)).collect();
        let sent = BTreeSet::from(["f-1".to_owned(), "f-2".to_owned()]);
        assert!(each_once(&seen(&[("f-1", 1), ("f-2", 1)]), &sent).is_ok());
        let twice = each_once(&seen(&[("f-1", 1), ("f-2", 2)]), &sent).unwrap_err().to_string();
        assert!(twice.contains("f-2") && !twice.contains("f-1"), "{twice}");
        let never = each_once(&seen(&[("f-1", 1)]), &sent).unwrap_err().to_string();
        assert!(never.contains("f-2") && !never.contains("f-1"), "{never}");
    }
}
