//! From a watch to the index: one loop for every kind.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use kube::core::{DeserializeGuard, NamespaceResourceScope, ObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::backoff::Doubling;

/// What a kind of object means to the index.
pub(super) trait Kind: Send + 'static {
    /// The kind.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static;

    /// What tells objects apart over a new list.
    fn identity(meta: &ObjectMeta) -> String;
    /// Was added or changed. `listing` = more are to come before the routes are needed.
    fn applied(&self, object: &Self::Object, listing: bool);
    /// Was deleted.
    fn gone(&self, meta: &ObjectMeta);
    /// These are all there are.
    fn complete(&self, identities: &HashSet<String>);
}

/// Whether the first lists are all in.
#[derive(Debug, Default)]
pub struct Listed {
    expected: AtomicUsize,
    done: AtomicUsize,
    changed: Notify,
}

/// Says once that a first list is in.
#[derive(Debug)]
pub(super) struct Ticket(Option<Arc<Listed>>);

impl Listed {
    pub(super) fn ticket(self: &Arc<Self>) -> Ticket {
        self.expected.fetch_add(1, Ordering::AcqRel);
        Ticket(Some(Arc::clone(self)))
    }

    /// Resolves when every watch that was started has its first list.
    pub async fn all(&self) {
        while self.done.load(Ordering::Acquire) < self.expected.load(Ordering::Acquire) {
            self.changed.notified().await;
        }
    }
}

impl Ticket {
    fn done(&mut self) {
        if let Some(listed) = self.0.take() {
            listed.done.fetch_add(1, Ordering::AcqRel);
            listed.changed.notify_one();
        }
    }
}

/// A list with nothing in it, where there was something before, counts only if the next one says the same, so much later. An API
/// server that has just been restored, or whose storage is another one for a moment, must not have every function forgotten.
const SECOND_LOOK: Duration = Duration::from_secs(5);

/// Follows one kind for ever. Errors back off from 50 ms to 10 s, with jitter; meanwhile the index keeps what it knows. An
/// object that cannot be read is passed over, and what was known of it is kept.
pub(super) async fn feed<K: Kind>(client: Client, config: watcher::Config, kind: K, mut ticket: Ticket) {
    let api: Api<DeserializeGuard<K::Object>> = Api::all(client);
    let name = K::Object::kind(&());
    // What there is to forget, and whether the last list would have it forgotten.
    let (mut known, mut doubted) = (HashSet::new(), false);
    loop {
        let mut events = pin!(watch(api.clone(), config.clone()).backoff(Doubling::default()));
        let mut listing: Option<HashSet<String>> = None;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listing = Some(HashSet::new()),
                Ok(Event::InitApply(object)) => {
                    listing.get_or_insert_default().insert(K::identity(object.meta()));
                    if let Some(object) = read(object) {
                        kind.applied(&object, true);
                    }
                }
                Ok(Event::InitDone) => {
                    let identities = listing.take().unwrap_or_default();
                    if identities.is_empty() && !known.is_empty() && !doubted {
                        warn!(kind = %name, "A list is empty; asking once more before everything is forgotten.");
                        doubted = true;
                        break;
                    }
                    kind.complete(&identities);
                    (known, doubted) = (identities, false);
                    ticket.done();
                    debug!(kind = %name, "A list is in.");
                }
                Ok(Event::Apply(object)) => {
                    known.insert(K::identity(object.meta()));
                    if let Some(object) = read(object) {
                        kind.applied(&object, false);
                    }
                }
                Ok(Event::Delete(object)) => {
                    known.remove(&K::identity(object.meta()));
                    kind.gone(object.meta());
                }
                Err(error) => warn!(kind = %name, %error, "A watch failed; trying again."),
            }
        }
        sleep(SECOND_LOOK).await;
    }
}

fn read<O: Resource<DynamicType = ()>>(object: DeserializeGuard<O>) -> Option<O> {
    match object.0 {
        Ok(object) => Some(object),
        Err(invalid) => {
            let (namespace, name) = (invalid.metadata.namespace, invalid.metadata.name);
            warn!(kind = %O::kind(&()), ?namespace, ?name, error = invalid.error, "An object could not be read.");
            None
        }
    }
}
