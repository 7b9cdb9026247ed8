//! Events about pods: the only place where a missing volume or a broken sandbox shows.
//!
//! An API server finds the Events of one pod by reading all of the namespace's, so pods that start at the same time share
//! what was read: twenty that wait cost one list and not twenty, each as long as there are Events.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::ListParams};
use runtime::{
    client::{CallError, within},
    failure::{Failure, of_event},
};
use tokio::time::Instant;

/// For one list.
const DEADLINE: Duration = Duration::from_secs(2);
/// What was read is shared for so long, and for [`SHARE`] times as long as reading it took.
const FRESH: Duration = Duration::from_millis(400);
/// Reading takes up at most this part of the time, as one in so many.
const SHARE: u32 = 4;
/// Events of one list. Where a namespace has more warnings about pods, the others are not read, and a start that failed so
/// ends at the deadline of who waits for it.
const LIMIT: u32 = 5000;
/// Namespaces of which it is remembered what was read.
const NAMESPACES: usize = 256;

/// Reads Events. Shared by all Functions.
#[derive(Debug, Default)]
pub struct Reader {
    namespaces: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Read>>>>,
}

/// What was read of one namespace.
#[derive(Debug, Default)]
struct Read {
    until: Option<Instant>,
    /// By the UID of the pod: what the newest telling Event says.
    said: HashMap<String, Failure>,
}

impl Reader {
    /// What the newest telling Event about a pod says of its start, if any does, as of less than half a second ago.
    ///
    /// # Errors
    /// [`CallError`] when the API server does not give the list in time.
    pub async fn of_pod(&self, client: &Client, namespace: &str, pod_uid: &str) -> Result<Option<Failure>, CallError> {
        let of_namespace = self.of_namespace(namespace);
        // Whoever comes while the list is under way waits for it: no longer than its own would take.
        let mut read = of_namespace.lock().await;
        let began = Instant::now();
        if read.until.is_none_or(|until| until <= began) {
            let said = list(client, namespace).await;
            // After a failure too: those who waited for this one do not all wait for one of their own.
            read.until = Some(Instant::now() + FRESH.max(began.elapsed() * SHARE));
            read.said = said?;
        }
        Ok(read.said.get(pod_uid).cloned())
    }

    fn of_namespace(&self, namespace: &str) -> Arc<tokio::sync::Mutex<Read>> {
        let mut namespaces = self.namespaces.lock().unwrap_or_else(PoisonError::into_inner);
        if namespaces.len() >= NAMESPACES && !namespaces.contains_key(namespace) {
            // Those that nobody is about to read; a list that is forgotten too early is made once more.
            namespaces.retain(|_, read| Arc::strong_count(read) > 1);
        }
        Arc::clone(namespaces.entry(namespace.to_owned()).or_default())
    }
}

async fn list(client: &Client, namespace: &str) -> Result<HashMap<String, Failure>, CallError> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let warnings = ListParams::default().fields("involvedObject.kind=Pod,type=Warning").limit(LIMIT);
    let mut list = within(DEADLINE, events.list(&warnings)).await?.items;
    // The newest of a pod comes last, and stays.
    list.sort_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0));
    let telling = list.into_iter().filter_map(|event| {
        let failure = of_event(event.reason.as_deref()?, event.message.as_deref().unwrap_or_default())?;
        Some((event.involved_object.uid?, failure))
    });
    Ok(telling.collect())
}
