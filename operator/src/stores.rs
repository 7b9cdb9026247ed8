//! What the operator knows of the cluster: one watch a kind for the whole process, kept on a standby too, so that a new
//! leader starts from warm stores.
//!
//! Every change of an object, its deletion included, puts the Function that it belongs to into the [`Queue`] of each
//! subscriber. (kube's shared reflector streams pass no deletions on, and its predicates can swallow them.)

mod follow;
mod grouped;
mod prune;
mod queue;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::{Arc, Mutex, PoisonError};

use crds::{Function, Trigger, labels};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    runtime::{
        reflector::{ObjectRef, Store, store},
        watcher,
    },
};
use tokio::task::JoinSet;

pub use grouped::Grouped;
#[cfg(test)]
pub(crate) use prune::BOOSTED;
pub use prune::{Prune, foreign_scaler, is_boosted, unfold};
pub use queue::Queue;

use follow::Follow;

/// Namespace and name of a Function: what everything here is kept by.
pub type Key = ObjectRef<Function>;

/// Read-only views of the cluster. Cheap to clone. An object may be a little older than the API server's.
#[derive(Clone)]
pub struct Stores {
    /// All Functions.
    pub functions: Store<Function>,
    /// All Triggers.
    pub triggers: Store<Trigger>,
    /// Deployments of Functions; the pod template is folded up, see [`unfold`], all but its grace period.
    pub deployments: Grouped<Deployment>,
    /// Pods of Functions, without their spec; see [`is_boosted`].
    pub pods: Grouped<Pod>,
    /// Services of Functions.
    pub services: Store<Service>,
    /// ServiceAccounts made for Functions.
    pub service_accounts: Store<ServiceAccount>,
    /// Rouse's own activator pods, without their spec.
    pub activators: Store<Pod>,
    pub(crate) subscribers: Subscribers,
}

/// Who wants to hear of changes.
#[derive(Clone, Default)]
pub(crate) struct Subscribers {
    functions: Arc<Mutex<Vec<Arc<Queue<Key>>>>>,
    triggers: Arc<Queue<()>>,
}

impl Subscribers {
    /// A Function or something that belongs to it changed.
    pub(crate) fn touched(&self, key: &Key) {
        for queue in self.functions.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            queue.add(key.clone());
        }
    }

    /// A Trigger, or the set of Functions that one may name, changed.
    pub(crate) fn triggers_touched(&self) {
        self.triggers.add(());
    }
}

impl Stores {
    /// Starts every watch as a task of `tasks`. `namespace`: Rouse's own.
    pub fn watch(client: &Client, namespace: &str, tasks: &mut JoinSet<()>) -> Self {
        let subscribers = Subscribers::default();
        let ours = watcher::Config::default().labels(labels::FUNCTION);
        let activators = watcher::Config::default().labels(&format!(
            "{}={},{}=activator",
            labels::APP_NAME,
            labels::MANAGED_BY_ROUSE,
            labels::APP_COMPONENT
        ));

        let (functions, writer) = store();
        let told = subscribers.clone();
        let follow = Follow::new(writer, move |function: &Function| {
            told.touched(&ObjectRef::from_obj(function));
            told.triggers_touched();
        });
        tasks.spawn(follow.guarded(Api::all(client.clone()), watcher::Config::default()));

        let (triggers, writer) = store();
        let told = subscribers.clone();
        let follow = Follow::new(writer, move |_: &Trigger| told.triggers_touched());
        tasks.spawn(follow.guarded(Api::all(client.clone()), watcher::Config::default()));

        let (deployments, writer) = store();
        let deployments = Grouped::new(deployments);
        let follow = Follow::new(writer, child_of(&subscribers)).grouped(&deployments);
        tasks.spawn(follow.plain(Api::all(client.clone()), ours.clone()));

        let (pods, writer) = store();
        let pods = Grouped::new(pods);
        let follow = Follow::new(writer, child_of(&subscribers)).grouped(&pods);
        tasks.spawn(follow.plain(Api::all(client.clone()), ours.clone()));

        let (services, writer) = store();
        let follow = Follow::new(writer, child_of(&subscribers));
        tasks.spawn(follow.plain(Api::all(client.clone()), ours.clone()));

        let (service_accounts, writer) = store();
        let follow = Follow::new(writer, child_of(&subscribers));
        tasks.spawn(follow.plain(Api::all(client.clone()), ours));

        let (activator_pods, writer) = store();
        let follow = Follow::new(writer, |_: &Pod| {});
        tasks.spawn(follow.plain(Api::namespaced(client.clone(), namespace), activators));

        Self {
            functions,
            triggers,
            deployments,
            pods,
            services,
            service_accounts,
            activators: activator_pods,
            subscribers,
        }
    }

    /// Waits until every store has been listed once.
    pub async fn synced(&self) {
        // The error says that the watching task is gone, which ends the process anyway.
        let (a, b, c, d) = (&self.functions, &self.triggers, self.deployments.store(), self.pods.store());
        let _ = tokio::join!(a.wait_until_ready(), b.wait_until_ready(), c.wait_until_ready(), d.wait_until_ready());
        let _ = tokio::join!(self.services.wait_until_ready(), self.service_accounts.wait_until_ready());
        let _ = self.activators.wait_until_ready().await;
    }

    /// A queue of the Functions of which something changes from now on: the Function itself, its Deployments, pods,
    /// Service or ServiceAccount. Each Function is in it once, however often it changed.
    pub fn subscribe(&self) -> Arc<Queue<Key>> {
        let queue = Arc::new(Queue::default());
        self.subscribers.functions.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&queue));
        queue
    }

    /// Says that the Triggers are to be judged again.
    pub(crate) fn trigger_changes(&self) -> Arc<Queue<()>> {
        Arc::clone(&self.subscribers.triggers)
    }

    /// The Function of that key, as last seen.
    pub fn function(&self, key: &Key) -> Option<Arc<Function>> {
        self.functions.get(key)
    }
}

/// The Function that a child belongs to, by its label.
pub fn owner<K: Resource>(object: &K) -> Option<Key> {
    let name = object.labels().get(labels::FUNCTION)?;
    Some(ObjectRef::new(name).within(object.meta().namespace.as_deref()?))
}

fn child_of<K: Resource>(subscribers: &Subscribers) -> impl Fn(&K) + Send + Sync + 'static {
    let told = subscribers.clone();
    move |object: &K| {
        if let Some(key) = owner(object) {
            told.touched(&key);
        }
    }
}
