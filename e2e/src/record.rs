//! Everything that the API server says of some objects, from now on. A test that claims "never" or "before" needs every
//! event with its time, not a look now and then.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ::kube::{
    Api, Resource,
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use anyhow::{Context, Result};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::scene::PATIENCE;

/// One event.
#[derive(Clone, Debug)]
pub struct Seen<K> {
    /// When it arrived here.
    pub at: Instant,
    /// The object as it was then.
    pub object: K,
    /// Whether the object was gone with it.
    pub gone: bool,
}

/// The events of one kind, in order. Ends when dropped.
#[derive(Debug)]
pub struct Record<K> {
    seen: Arc<Mutex<Vec<Seen<K>>>>,
    news: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl<K> Record<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// Begins; objects that are there already come first. `selector`: their labels, empty = all. Nothing that happens
    /// after this has returned is missed.
    ///
    /// # Errors
    /// When the API server does not list the objects within a minute.
    pub async fn start(api: Api<K>, selector: &str) -> Result<Self> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        // False until the first list is complete.
        let (notify, mut news) = watch::channel(false);
        let log = Arc::clone(&seen);
        let mut events = watcher(api, watcher::Config::default().labels(selector)).default_backoff().boxed();
        let task = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let (object, gone) = match event {
                    Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
                    Ok(Event::Delete(object)) => (object, true),
                    Ok(Event::InitDone) => {
                        notify.send_replace(true);
                        continue;
                    }
                    Ok(Event::Init) | Err(_) => continue,
                };
                lock(&log).push(Seen { at: Instant::now(), object, gone });
                notify.send_modify(|_| {});
            }
        });
        timeout(PATIENCE, news.wait_for(|listed| *listed)).await.context("no list to watch from")??;
        Ok(Self { seen, news, task })
    }

    /// The names of all objects that there ever were.
    pub fn names(&self) -> BTreeSet<String> {
        lock(&self.seen).iter().filter_map(|seen| seen.object.meta().name.clone()).collect()
    }

    /// The first event that is as `wanted` says.
    pub fn first(&self, wanted: impl Fn(&Seen<K>) -> bool) -> Option<Seen<K>> {
        lock(&self.seen).iter().find(|seen| wanted(seen)).cloned()
    }

    /// Every event that is as `wanted` says.
    pub fn all(&self, wanted: impl Fn(&Seen<K>) -> bool) -> Vec<Seen<K>> {
        lock(&self.seen).iter().filter(|seen| wanted(seen)).cloned().collect()
    }

    /// Shows every event, in order, without copying it.
    pub fn each(&self, look: impl FnMut(&Seen<K>)) {
        lock(&self.seen).iter().for_each(look);
    }

    /// The first event of the kind, waiting for it; returns as soon as it arrives.
    ///
    /// # Errors
    /// When it does not come within `patience`.
    pub async fn until(&self, what: &str, patience: Duration, wanted: impl Fn(&Seen<K>) -> bool) -> Result<Seen<K>> {
        let mut news = self.news.clone();
        timeout(patience, async {
            loop {
                news.mark_unchanged();
                match self.first(&wanted) {
                    Some(seen) => return Ok(seen),
                    None => news.changed().await.context("the watch has ended")?,
                }
            }
        })
        .await
        .with_context(|| format!("not seen within {patience:?}: {what}"))?
    }
}

impl<K> Drop for Record<K> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
