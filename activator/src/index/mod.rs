//! What is known of functions, triggers, deployments and pods: one synchronous index. The watches and the link feed it;
//! what it derives is published where the request path reads it without a lock. It does no I/O and knows no time but
//! what it is told.

mod addresses;
mod deployments;
mod drains;
mod entry;
mod functions;
mod pods;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crds::route::{Claim, TriggerKey};

use addresses::Addresses;
pub use drains::Ack;
use entry::Entry;

use crate::function::{Function, Key};
use crate::link::Beacon;
use crate::pods::Pod;
use crate::routes::Table;

/// A pod whose readiness is to be proved.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The pod, with or without an address.
    pub pod: Arc<Pod>,
    /// Its function.
    pub function: Arc<Function>,
}

/// The index.
#[derive(Debug)]
pub struct Index {
    inner: Mutex<Inner>,
    table: Arc<Table>,
    beacon: Arc<Beacon>,
}

#[derive(Debug, Default)]
struct Inner {
    functions: HashMap<Key, Arc<Function>>,
    claims: BTreeMap<TriggerKey, Claim>,
    /// By the Function's UID. Deployments, pods and orders may come before their Function.
    entries: HashMap<Arc<str>, Entry>,
    addresses: Addresses,
    /// The function of a pod.
    owners: HashMap<Arc<str>, Arc<str>>,
    /// The function of a Deployment, by namespace and name.
    deployments: HashMap<Key, Arc<str>>,
    /// UIDs of functions with an order in force.
    draining: HashSet<Arc<str>>,
    /// Of the newest orders.
    epoch: u64,
}

impl Index {
    /// Empty. Routes are published to `table`; news for the leader is announced at `beacon`.
    pub fn new(table: Arc<Table>, beacon: Arc<Beacon>) -> Self {
        Self { inner: Mutex::default(), table, beacon }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while it was held would have left at worst one object's change half done; the next event repairs it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the routes. Called after the set of functions or triggers changed, and after the first lists are in.
    pub fn publish(&self) {
        let inner = self.lock();
        self.table.publish(inner.functions.values(), &inner.claims);
    }

    /// Every function.
    pub fn functions(&self) -> Vec<Arc<Function>> {
        self.lock().functions.values().cloned().collect()
    }

    /// Every pod.
    pub fn pods(&self) -> Vec<Arc<Pod>> {
        let inner = self.lock();
        inner.entries.values().flat_map(|entry| entry.pods.values().map(|record| Arc::clone(&record.pod))).collect()
    }
}

impl Inner {
    fn entry(&mut self, function_uid: &str) -> &mut Entry {
        if !self.entries.contains_key(function_uid) {
            self.entries.insert(function_uid.into(), Entry::default());
        }
        // Just inserted if it was not there.
        #[allow(clippy::unwrap_used)]
        self.entries.get_mut(function_uid).unwrap()
    }

    /// Forgets a function's entry once nothing is left in it.
    fn tidy(&mut self, function_uid: &str) {
        if self.entries.get(function_uid).is_some_and(Entry::is_empty) {
            self.entries.remove(function_uid);
        }
    }
}

#[cfg(test)]
mod located;
#[cfg(test)]
mod tests;
