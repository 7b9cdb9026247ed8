//! Functions and Triggers as they come, change and go.

use std::collections::HashSet;
use std::sync::Arc;

use crds::route::Claim;
use kube::ResourceExt as _;
use kube::core::ObjectMeta;
use tracing::debug;

use super::{Index, Probe};
use crate::function::{Function, Key, Spec};

fn key(meta: &ObjectMeta) -> Key {
    Key::new(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

impl Index {
    /// A Function was seen. Returns whether the routes changed, and the pods to be probed now that their function is known.
    pub fn function_applied(&self, object: &crds::Function) -> (bool, Vec<Probe>) {
        let key = key(&object.metadata);
        let Some(uid) = object.uid() else { return (false, Vec::new()) };
        let spec = Spec::of(object);
        let mut inner = self.lock();
        let known = inner.functions.get(&key).filter(|function| *function.uid == *uid).cloned();
        let is_new = known.is_none();
        let function = known.unwrap_or_else(|| Function::new(key.clone(), uid.as_str().into(), spec.clone()));
        if is_new {
            debug!(function = %key, "A function was found.");
            if let Some(earlier) = inner.functions.insert(key, Arc::clone(&function)) {
                // Deleted and created again between two looks.
                earlier.gate.close();
                if let Some(entry) = inner.entries.get_mut(&earlier.uid) {
                    entry.function = None;
                }
                inner.tidy(&earlier.uid);
            }
        } else if **function.spec.load() != spec {
            function.spec.store(Arc::new(spec));
        }
        let entry = inner.entry(&uid);
        entry.function = Some(function);
        let probes = entry.probes();
        entry.refresh();
        (is_new, probes)
    }

    /// A Function is gone. Returns whether the routes changed. Of another of that name nothing is said.
    pub fn function_gone(&self, meta: &ObjectMeta) -> bool {
        self.forget(&key(meta), meta.uid.as_deref().unwrap_or_default())
    }

    /// Everything else was deleted unseen: these are all the Functions there are. Returns whether the routes changed.
    pub fn functions_are(&self, uids: &HashSet<String>) -> bool {
        let gone: Vec<_> = {
            let inner = self.lock();
            inner.functions.values().filter(|function| !uids.contains(&*function.uid)).cloned().collect()
        };
        for function in &gone {
            self.forget(&function.key, &function.uid);
        }
        !gone.is_empty()
    }

    fn forget(&self, key: &Key, uid: &str) -> bool {
        let mut inner = self.lock();
        if inner.functions.get(key).is_none_or(|function| *function.uid != *uid) {
            return false;
        }
        if let Some(function) = inner.functions.remove(key) {
            debug!(function = %key, "A function is gone.");
            function.gate.close();
        }
        if let Some(entry) = inner.entries.get_mut(uid) {
            entry.function = None;
        }
        inner.tidy(uid);
        true
    }

    /// A Trigger was seen. Returns whether the routes changed.
    pub fn trigger_applied(&self, object: &crds::Trigger) -> bool {
        let trigger = (object.namespace().unwrap_or_default(), object.name_any());
        let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        let claim = Claim {
            key: trigger.clone(),
            created,
            function: object.spec.function_ref.name.clone(),
            hosts: object.spec.http.hosts.clone(),
            path: object.spec.http.path.clone(),
            methods: object.spec.http.methods.clone(),
        };
        let mut inner = self.lock();
        if inner.claims.get(&trigger) == Some(&claim) {
            return false;
        }
        inner.claims.insert(trigger, claim);
        true
    }

    /// A Trigger is gone. Returns whether the routes changed.
    pub fn trigger_gone(&self, meta: &ObjectMeta) -> bool {
        let trigger = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        self.lock().claims.remove(&trigger).is_some()
    }

    /// These are all the Triggers there are, by `NAMESPACE/NAME`. Returns whether the routes changed.
    pub fn triggers_are(&self, names: &HashSet<String>) -> bool {
        let mut inner = self.lock();
        let before = inner.claims.len();
        inner.claims.retain(|(namespace, name), _| names.contains(&format!("{namespace}/{name}")));
        inner.claims.len() != before
    }
}
