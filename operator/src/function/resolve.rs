//! What there is of a Function's children. Reads the stores: a calm pass asks the API server nothing.

use std::sync::Arc;

use crds::{Function, labels, names};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
};
use kube::{
    Resource, ResourceExt,
    runtime::reflector::{ObjectRef, Store},
};
use tokio::time::Instant;

use crate::{context::Context, recent::Recent, stores::Key};

/// The children of a Function, as far as they are known. Whose they are is not looked at yet.
#[derive(Clone, Debug, Default)]
pub struct References {
    /// Deployments that carry the Function's name in their label.
    pub deployments: Vec<Arc<Deployment>>,
    /// Pods of this very Function, not of an earlier one of its name; the ones being deleted included, and those that have
    /// ended not: a ReplicaSet leaves an evicted one behind for ever, and counts it no more.
    pub pods: Vec<Arc<Pod>>,
    /// The Service.
    pub service: Option<Arc<Service>>,
    /// The ServiceAccount of the default name.
    pub service_account: Option<Arc<ServiceAccount>>,
}

impl References {
    /// The Deployment of a revision.
    pub fn deployment(&self, revision: &str) -> Option<&Arc<Deployment>> {
        self.deployments.iter().find(|d| d.metadata.name.as_deref() == Some(revision))
    }

    /// Pods of a revision; `leaving`: whether those that are being deleted count.
    pub fn pods_of<'a>(&'a self, revision: &'a str, leaving: bool) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().map(|pod| &**pod).filter(move |pod| {
            pod.labels().get(labels::REVISION).is_some_and(|name| name == revision)
                && (leaving || pod.metadata.deletion_timestamp.is_none())
        })
    }
}

/// The children of a Function. `revisions`: names of Deployments that matter, to be found even if the watch has not shown
/// them yet.
pub fn references(cx: &Context, function: &Function, revisions: &[&str], now: Instant) -> References {
    let (name, namespace) = (function.name_any(), function.namespace().unwrap_or_default());
    let key = Key::new(&name).within(&namespace);
    let recent = &cx.recent;
    let mut deployments = cx.stores.deployments.of(&key);
    for deployment in &mut deployments {
        let reference = ObjectRef::from_obj(&**deployment);
        if let Some(newest) = recent.deployments.newest(&reference, Some(Arc::clone(deployment)), now) {
            *deployment = newest;
        }
    }
    for revision in revisions.iter().filter(|name| !name.is_empty()) {
        let known = deployments.iter().any(|d| d.metadata.name.as_deref() == Some(*revision));
        let reference = ObjectRef::new(revision).within(&namespace);
        deployments.extend(if known { None } else { recent.deployments.newest(&reference, None, now) });
    }
    let ours = |pod: &Arc<Pod>| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.labels().get(labels::FUNCTION_UID) == function.metadata.uid.as_ref()
            && !matches!(phase, Some("Succeeded" | "Failed"))
    };
    References {
        deployments,
        pods: cx.stores.pods.of(&key).into_iter().filter(ours).collect(),
        service: newest(&cx.stores.services, &recent.services, &name, &namespace, now),
        service_account: newest(
            &cx.stores.service_accounts,
            &recent.service_accounts,
            &names::service_account(&name),
            &namespace,
            now,
        ),
    }
}

fn newest<K>(store: &Store<K>, recent: &Recent<K>, name: &str, namespace: &str, now: Instant) -> Option<Arc<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let reference = ObjectRef::new(name).within(namespace);
    recent.newest(&reference, store.get(&reference), now)
}
