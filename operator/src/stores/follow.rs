//! One watch: list, then changes, for ever; with back-off, and with a guard against objects that do not parse.

use std::{collections::HashMap, fmt::Debug, pin::pin, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    Api, Resource, ResourceExt,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, store::Writer},
        watcher::{self, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tracing::warn;

use super::{Grouped, Prune, owner};

/// Objects a page of a list: the memory for a page is taken at each start and not given back quickly.
const PAGE: u32 = 100;

/// Feeds one store.
pub(super) struct Follow<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    groups: Option<Grouped<K>>,
    touched: Box<dyn Fn(&K) + Send + Sync>,
    /// What a list in progress has not named yet: it was deleted while nobody watched, unless the list still names it.
    unseen: HashMap<ObjectRef<K>, Arc<K>>,
}

impl<K> Follow<K>
where
    K: Prune + Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// `touched` is run on each change and deletion, after it.
    pub(super) fn new(writer: Writer<K>, touched: impl Fn(&K) + Send + Sync + 'static) -> Self {
        Self { writer, groups: None, touched: Box::new(touched), unseen: HashMap::new() }
    }

    /// Keeps `groups` in step with the store.
    pub(super) fn grouped(mut self, groups: &Grouped<K>) -> Self {
        self.groups = Some(groups.clone());
        self
    }

    /// Watches a kind of ours for ever. What does not parse, because it was written under another schema, is left alone.
    pub(super) async fn guarded(self, api: Api<DeserializeGuard<K>>, config: watcher::Config) {
        self.run(watcher(api, config.page_size(PAGE)).default_backoff()).await;
    }

    /// Watches one of Kubernetes' own kinds for ever. The guard is spared: it reads everything twice.
    pub(super) async fn plain(self, api: Api<K>, config: watcher::Config) {
        self.run(watcher(api, config.page_size(PAGE)).default_backoff().map_ok(ok)).await;
    }

    async fn run(mut self, events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>>) {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.take(event),
                Err(error) => {
                    warn!(kind = %K::kind(&()), %error, "A watch failed; it is started again.");
                }
            }
        }
    }

    /// Takes one event over into the store, then says what it touched.
    pub(super) fn take(&mut self, event: Event<DeserializeGuard<K>>) {
        match event {
            Event::Apply(object) => match self.parsed(object) {
                Ok(object) => self.put(object, false),
                Err(gone) => self.drop_known(&gone),
            },
            Event::Delete(object) => self.drop_known(&reference(&object.name_any(), object.namespace().as_deref())),
            Event::Init => {
                self.unseen = self.known().into_iter().map(|object| (ObjectRef::from_obj(&*object), object)).collect();
                self.writer.apply_watcher_event(&Event::Init);
            }
            Event::InitApply(object) => {
                if let Ok(object) = self.parsed(object) {
                    self.unseen.remove(&ObjectRef::from_obj(&object));
                    self.put(object, true);
                }
            }
            Event::InitDone => {
                self.writer.apply_watcher_event(&Event::InitDone);
                for gone in std::mem::take(&mut self.unseen).into_values() {
                    self.note(&gone, false);
                    (self.touched)(&gone);
                }
                for object in self.known() {
                    (self.touched)(&object);
                }
            }
        }
    }

    fn known(&self) -> Vec<Arc<K>> {
        self.writer.as_reader().state()
    }

    fn put(&mut self, mut object: K, listing: bool) {
        object.prune();
        let before = self.writer.as_reader().get(&ObjectRef::from_obj(&object));
        // Its labels may name another Function than before: both have changed.
        if let Some(before) = before.filter(|before| owner(&**before) != owner(&object)) {
            self.note(&before, false);
            (self.touched)(&before);
        }
        self.note(&object, true);
        if listing {
            self.writer.apply_watcher_event(&Event::InitApply(object));
        } else {
            let kept = object.clone();
            self.writer.apply_watcher_event(&Event::Apply(object));
            (self.touched)(&kept);
        }
    }

    fn drop_known(&mut self, gone: &ObjectRef<K>) {
        let Some(known) = self.writer.as_reader().get(gone) else { return };
        self.note(&known, false);
        self.writer.apply_watcher_event(&Event::Delete(K::clone(&known)));
        (self.touched)(&known);
    }

    fn note(&self, object: &K, there: bool) {
        if let Some(groups) = &self.groups {
            groups.note(object, there);
        }
    }

    /// An object that does not parse is as good as not there; one of them must not hide all others.
    fn parsed(&self, object: DeserializeGuard<K>) -> Result<K, ObjectRef<K>> {
        object.0.map_err(|invalid| {
            let name = invalid.metadata.name.unwrap_or_default();
            let namespace = invalid.metadata.namespace;
            warn!(kind = %K::kind(&()), name, namespace, error = invalid.error, "An object does not parse; it is left alone.");
            reference(&name, namespace.as_deref())
        })
    }
}

fn ok<K>(event: Event<K>) -> Event<DeserializeGuard<K>> {
    let ok = |object| DeserializeGuard(Ok(object));
    match event {
        Event::Apply(object) => Event::Apply(ok(object)),
        Event::Delete(object) => Event::Delete(ok(object)),
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(ok(object)),
        Event::InitDone => Event::InitDone,
    }
}

fn reference<K: Resource<DynamicType = ()>>(name: &str, namespace: Option<&str>) -> ObjectRef<K> {
    let reference = ObjectRef::new(name);
    namespace.map_or(reference.clone(), |namespace| reference.within(namespace))
}
