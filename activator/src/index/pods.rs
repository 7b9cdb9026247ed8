//! Pods as they come, change and go.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crds::function::Protocol;
use crds::{labels, names};
use k8s_openapi::api::core::v1::Pod as Object;
use kube::ResourceExt as _;
use runtime::failure::{Start, of_pod};
use tokio::time::Instant;
use tracing::debug;

use super::entry::{Entry, PodRecord};
use super::{Index, Inner, Probe};
use crate::pods::{Pod, Target};

/// The variable by which the program is told its port.
const PORT: &str = "PORT";

impl Index {
    /// A pod was seen. Returns it if its readiness is to be proved from now on. One without our labels is passed over.
    pub fn pod_applied(&self, object: &Object, now: Instant) -> Option<Probe> {
        let uid = object.uid()?;
        let function_uid = object.labels().get(labels::FUNCTION_UID)?;
        let revision = object.labels().get(labels::REVISION)?;
        let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
        let leaving = object.metadata.deletion_timestamp.is_some() || matches!(phase, Some("Succeeded" | "Failed"));
        let mut inner = self.lock();
        let entry = inner.entry(function_uid);
        if !entry.pods.contains_key(uid.as_str()) {
            if leaving {
                inner.tidy(function_uid);
                return None;
            }
            let drained = entry.drain.as_ref().is_some_and(|drain| drain.covers(&uid));
            let pod = Pod::new(&uid, &object.name_any(), function_uid, revision, drained);
            debug!(pod = %pod.name, drained, "A pod was found.");
            let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
            let record = PodRecord { pod, created, start: Start::Fine, since: now, probed: false };
            entry.pods.insert(uid.as_str().into(), record);
        }
        let record = entry.pods.get_mut(uid.as_str())?;
        let was_ready = record.pod.was_ready();
        record.look(object, was_ready, now);
        let target = target(object, entry);
        if leaving {
            if let Some(record) = entry.pods.get(uid.as_str()) {
                record.pod.leave();
            }
        } else if let Some(target) = target {
            inner.locate(function_uid, &uid, target, now);
        }
        inner.owners.insert(uid.as_str().into(), function_uid.as_str().into());
        let entry = inner.entry(function_uid);
        let probe = entry.probes().into_iter().find(|probe| *probe.pod.uid == *uid);
        entry.refresh();
        drop(inner);
        self.beacon.urge();
        probe
    }

    /// A pod is gone.
    pub fn pod_gone(&self, uid: &str) {
        let mut inner = self.lock();
        let Some(function_uid) = inner.owners.remove(uid) else { return };
        inner.addresses.retain(|_, (_, pod)| **pod != *uid);
        if let Some(entry) = inner.entries.get_mut(&function_uid) {
            if let Some(record) = entry.pods.remove(uid) {
                record.pod.leave();
            }
            entry.failures.remove(uid);
            entry.refresh();
        }
        inner.tidy(&function_uid);
        drop(inner);
        self.beacon.urge();
    }

    /// These are all the pods there are.
    pub fn pods_are(&self, uids: &HashSet<String>) {
        let gone: Vec<_> = self.lock().owners.keys().filter(|uid| !uids.contains(&***uid)).cloned().collect();
        for uid in gone {
            self.pod_gone(&uid);
        }
    }
}

impl Inner {
    /// Gives a pod its address, and takes the IP from any older pod that had it.
    fn locate(&mut self, function_uid: &str, uid: &str, target: Target, now: Instant) {
        let ip: IpAddr = target.address.ip();
        let created = |inner: &Self, function: &str, pod: &str| {
            let record = inner.entries.get(function).and_then(|entry| entry.pods.get(pod));
            record.filter(|record| !record.pod.leaving.is_cancelled()).map(|record| record.created)
        };
        let own = created(self, function_uid, uid);
        if let Some((other_function, other)) = self.addresses.get(&ip).cloned().filter(|(_, other)| **other != *uid) {
            if created(self, &other_function, &other) > own {
                // This pod is the older one: the address it still shows is no longer its own.
                if let Some(record) = self.entries.get(function_uid).and_then(|entry| entry.pods.get(uid)) {
                    record.pod.leave();
                }
                return;
            }
            if let Some(entry) = self.entries.get(&other_function)
                && let Some(record) = entry.pods.get(&other)
            {
                record.pod.leave();
                entry.refresh();
            }
        }
        self.addresses.insert(ip, (function_uid.into(), uid.into()));
        if let Some(record) = self.entries.get(function_uid).and_then(|entry| entry.pods.get(uid))
            && record.pod.locate(target, now)
        {
            // A running probe goes on with the new address.
            record.pod.doubt.notify_one();
        }
    }
}

impl PodRecord {
    fn look(&mut self, object: &Object, was_ready: bool, now: Instant) {
        if object.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            self.pod.note(|seen| {
                seen.scheduled.get_or_insert(now);
            });
        }
        let start = of_pod(object, was_ready);
        if std::mem::discriminant(&start) != std::mem::discriminant(&self.start) {
            self.since = now;
        }
        self.start = start;
    }
}

impl Entry {
    /// Pods that have an address and a function and no probe yet.
    pub(super) fn probes(&mut self) -> Vec<Probe> {
        let Some(function) = &self.function else { return Vec::new() };
        let waiting = self
            .pods
            .values_mut()
            .filter(|record| !record.probed && record.pod.pool().is_some() && !record.pod.leaving.is_cancelled());
        waiting
            .map(|record| {
                record.probed = true;
                Probe { pod: Arc::clone(&record.pod), function: Arc::clone(function) }
            })
            .collect()
    }
}

/// Where the pod listens, once it has an IP and its port is known.
fn target(object: &Object, entry: &Entry) -> Option<Target> {
    let ip: IpAddr = object.status.as_ref()?.pod_ip.as_deref()?.parse().ok()?;
    let containers = object.spec.as_ref().map_or(&[][..], |spec| &spec.containers);
    let container = containers.iter().find(|container| container.name == names::CONTAINER);
    let port = container.and_then(|container| container.ports.iter().flatten().next());
    let spec = entry.function.as_ref().map(|function| function.spec.load_full());
    let told = container.and_then(|container| container.env.iter().flatten().find(|variable| variable.name == PORT));
    let number = port
        .and_then(|port| u16::try_from(port.container_port).ok())
        .or_else(|| told.and_then(|variable| variable.value.as_deref()?.parse().ok()))
        .or_else(|| spec.as_ref().map(|spec| spec.port))?;
    let protocol = match port.and_then(|port| port.name.as_deref()) {
        Some(names::PORT_H2C) => Protocol::H2C,
        Some(names::PORT_HTTP1) => Protocol::HTTP1,
        _ => spec.map_or(Protocol::HTTP1, |spec| spec.protocol),
    };
    Some(Target { address: SocketAddr::new(ip, number), protocol })
}
