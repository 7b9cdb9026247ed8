//! Deployments as they come, change and go.

use std::collections::HashSet;
use std::sync::Arc;

use crds::labels;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use super::entry::DeploymentRecord;
use super::{Index, Inner};
use crate::function::{Key, Workload};

impl Index {
    /// A Deployment was seen. One without our labels is passed over.
    pub fn deployment_applied(&self, object: &Deployment) {
        let (Some(namespace), Some(name)) = (object.namespace(), object.metadata.name.as_deref()) else { return };
        let Some(uid) = object.labels().get(labels::FUNCTION_UID) else { return };
        // The API server fills `spec.replicas` in: it is there on every Deployment it gives out.
        let replicas = object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(0);
        let version = object.resource_version().and_then(|version| version.parse().ok());
        let readiness = object.annotations().get(labels::READINESS_PATH).map(|path| path.as_str().into());
        let workload = Arc::new(Workload { name: name.into(), replicas, version, readiness });
        let record = DeploymentRecord { workload, refused: runtime::failure::of_deployment(object) };
        let mut inner = self.lock();
        let key = Key::new(&namespace, name);
        if inner.deployments.get(&key).is_some_and(|owner| **owner != **uid) {
            // Made anew for another Function of the name, between two looks.
            inner.deployment_gone(&key);
        }
        inner.deployments.insert(key, uid.as_str().into());
        let entry = inner.entry(uid);
        entry.deployments.insert(name.into(), record);
        entry.refresh();
    }

    /// A Deployment is gone.
    pub fn deployment_gone(&self, meta: &ObjectMeta) {
        let (Some(namespace), Some(name)) = (&meta.namespace, &meta.name) else { return };
        self.lock().deployment_gone(&Key::new(namespace, name));
    }

    /// These are all the Deployments there are, by `NAMESPACE/NAME`.
    pub fn deployments_are(&self, names: &HashSet<String>) {
        let mut inner = self.lock();
        let gone: Vec<Key> =
            inner.deployments.keys().filter(|key| !names.contains(&key.to_string())).cloned().collect();
        for key in gone {
            inner.deployment_gone(&key);
        }
    }
}

impl Inner {
    fn deployment_gone(&mut self, key: &Key) {
        let Some(uid) = self.deployments.remove(key) else { return };
        if let Some(entry) = self.entries.get_mut(&uid) {
            entry.deployments.remove(&key.name);
            entry.refresh();
        }
        self.tidy(&uid);
    }
}
