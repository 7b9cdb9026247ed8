//! What each kind of object means to the index.

use std::collections::HashSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::core::ObjectMeta;
use tokio::time::Instant;

use super::feed::Kind;
use crate::index::Index;
use crate::probe::Prober;

fn path(meta: &ObjectMeta) -> String {
    format!("{}/{}", meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default())
}

pub(super) struct Functions {
    pub(super) index: Arc<Index>,
    pub(super) prober: Prober,
}

impl Kind for Functions {
    type Object = crds::Function;

    fn identity(meta: &ObjectMeta) -> String {
        meta.uid.clone().unwrap_or_default()
    }

    fn applied(&self, object: &crds::Function, listing: bool) {
        let (changed, probes) = self.index.function_applied(object);
        if changed && !listing {
            self.index.publish();
        }
        for probe in probes {
            self.prober.start(probe);
        }
    }

    fn gone(&self, meta: &ObjectMeta) {
        if self.index.function_gone(meta) {
            self.index.publish();
        }
    }

    fn complete(&self, identities: &HashSet<String>) {
        self.index.functions_are(identities);
        self.index.publish();
    }
}

pub(super) struct Triggers {
    pub(super) index: Arc<Index>,
}

impl Kind for Triggers {
    type Object = crds::Trigger;

    fn identity(meta: &ObjectMeta) -> String {
        path(meta)
    }

    fn applied(&self, object: &crds::Trigger, listing: bool) {
        if self.index.trigger_applied(object) && !listing {
            self.index.publish();
        }
    }

    fn gone(&self, meta: &ObjectMeta) {
        if self.index.trigger_gone(meta) {
            self.index.publish();
        }
    }

    fn complete(&self, identities: &HashSet<String>) {
        self.index.triggers_are(identities);
        self.index.publish();
    }
}

pub(super) struct Deployments {
    pub(super) index: Arc<Index>,
}

impl Kind for Deployments {
    type Object = Deployment;

    fn identity(meta: &ObjectMeta) -> String {
        path(meta)
    }

    fn applied(&self, object: &Deployment, _: bool) {
        self.index.deployment_applied(object);
    }

    fn gone(&self, meta: &ObjectMeta) {
        self.index.deployment_gone(meta);
    }

    fn complete(&self, identities: &HashSet<String>) {
        self.index.deployments_are(identities);
    }
}

pub(super) struct Pods {
    pub(super) index: Arc<Index>,
    pub(super) prober: Prober,
}

impl Kind for Pods {
    type Object = Pod;

    fn identity(meta: &ObjectMeta) -> String {
        meta.uid.clone().unwrap_or_default()
    }

    fn applied(&self, object: &Pod, _: bool) {
        if let Some(probe) = self.index.pod_applied(object, Instant::now()) {
            self.prober.start(probe);
        }
    }

    fn gone(&self, meta: &ObjectMeta) {
        self.index.pod_gone(meta.uid.as_deref().unwrap_or_default(), Instant::now());
    }

    fn complete(&self, identities: &HashSet<String>) {
        self.index.pods_are(identities, Instant::now());
    }
}
