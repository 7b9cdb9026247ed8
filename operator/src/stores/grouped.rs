//! A store whose objects are also found by the Function that they belong to, without a look at all others.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use kube::{
    Resource,
    runtime::reflector::{ObjectRef, Store},
};

use super::{Key, owner};

/// Objects by name, and by Function.
pub struct Grouped<K: Resource<DynamicType = ()> + Clone + 'static> {
    store: Store<K>,
    groups: Arc<RwLock<HashMap<Key, HashSet<ObjectRef<K>>>>>,
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Clone for Grouped<K> {
    fn clone(&self) -> Self {
        Self { store: self.store.clone(), groups: Arc::clone(&self.groups) }
    }
}

impl<K: Resource<DynamicType = ()> + Clone + 'static> Grouped<K> {
    pub(crate) fn new(store: Store<K>) -> Self {
        Self { store, groups: Arc::default() }
    }

    /// All objects.
    pub fn store(&self) -> &Store<K> {
        &self.store
    }

    /// The object of that name, if it is known.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new(name).within(namespace))
    }

    /// The objects that belong to a Function, in no particular order.
    pub fn of(&self, function: &Key) -> Vec<Arc<K>> {
        let groups = self.groups.read().unwrap_or_else(PoisonError::into_inner);
        groups.get(function).into_iter().flatten().filter_map(|object| self.store.get(object)).collect()
    }

    /// Takes over that `object` is there (or gone) and belongs to the Function that its label names.
    pub(crate) fn note(&self, object: &K, there: bool) {
        let Some(key) = owner(object) else { return };
        let mut groups = self.groups.write().unwrap_or_else(PoisonError::into_inner);
        if there {
            groups.entry(key).or_default().insert(ObjectRef::from_obj(object));
        } else if let Some(group) = groups.get_mut(&key) {
            group.remove(&ObjectRef::from_obj(object));
            if group.is_empty() {
                groups.remove(&key);
            }
        }
    }
}
