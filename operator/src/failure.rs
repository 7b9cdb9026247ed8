//! Failed starts, as the leader knows them: what pods and Deployments say, what only Events say, and revisions that
//! never became ready. The autoscaler reads the verdicts and lowers what failed to 0.

pub mod events;
pub mod judge;
pub mod memory;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use crds::FunctionSpec;
use runtime::failure::Failure;
use tokio::sync::watch;

use crate::stores::Key;

/// A revision whose start failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The Function.
    pub key: Key,
    /// Its UID.
    pub function_uid: String,
    /// The revision, which is its Deployment's name.
    pub revision: String,
    /// The pods that failed. Empty where there are none, as with a quota.
    pub pod_uids: Vec<String>,
    /// Why.
    pub failure: Failure,
    /// Whether only Events say so: activators cannot see it by themselves.
    pub from_events: bool,
    /// Whether its pods were refused for the higher CPU limit of their start.
    pub of_boost: bool,
    /// Under which terms it failed.
    pub terms: Terms,
}

/// What of a spec decides on whether a start succeeds and is no part of the revision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    readiness: String,
    cold_start_seconds: i32,
}

impl Terms {
    /// Those of a spec.
    pub fn of(spec: &FunctionSpec) -> Self {
        Self { readiness: spec.readiness.path.clone(), cold_start_seconds: spec.timeouts.cold_start_seconds }
    }
}

/// All verdicts that stand. Cheap to clone: clones share one map.
///
/// A verdict on the serving revision stands while its failed pods (or its Deployment's refusal) do; one on a revision
/// that should take over stands until the Function wants another or has other [`Terms`], or, where its start-up boost was
/// refused, until its Deployment is without one.
#[derive(Clone, Debug)]
pub struct Verdicts {
    map: Arc<RwLock<HashMap<(String, String), Verdict>>>,
    changes: Arc<watch::Sender<u64>>,
}

impl Default for Verdicts {
    fn default() -> Self {
        Self { map: Arc::default(), changes: Arc::new(watch::Sender::new(0)) }
    }
}

impl Verdicts {
    /// The verdict on a revision of a Function (by UID), if one stands.
    pub fn of(&self, function_uid: &str, revision: &str) -> Option<Verdict> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        // Few verdicts stand at a time, so no key is made to look one up.
        map.values().find(|v| v.function_uid == function_uid && v.revision == revision).cloned()
    }

    /// Every verdict, in no particular order.
    pub fn all(&self) -> Vec<Verdict> {
        self.map.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Rises with each change.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Makes `standing` all the verdicts on this Function.
    pub fn replace(&self, function_uid: &str, standing: Vec<Verdict>) {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        let before = map.values().filter(|v| v.function_uid == function_uid).count();
        let known = |v: &Verdict| map.get(&(v.function_uid.clone(), v.revision.clone())) == Some(v);
        if before == standing.len() && standing.iter().all(known) {
            return;
        }
        map.retain(|(uid, _), _| uid != function_uid);
        map.extend(standing.into_iter().map(|v| ((v.function_uid.clone(), v.revision.clone()), v)));
        drop(map);
        self.changes.send_modify(|version| *version += 1);
    }

    /// Forgets all: another process leads now.
    pub fn clear(&self) {
        self.map.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.changes.send_modify(|version| *version += 1);
    }
}

#[cfg(test)]
mod tests;
