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
    /// A pod was seen. Returns it if its readiness is to be proved from now on. One without our labels is passed over, and
    /// one that has lost them is gone.
    pub fn pod_applied(&self, object: &Object, now: Instant) -> Option<Probe> {
        let probe = self.lock().pod_applied(object, now);
        self.beacon.urge();
        probe
    }

    /// A pod is gone.
    pub fn pod_gone(&self, uid: &str, now: Instant) {
        self.lock().pod_gone(uid, now);
        self.beacon.urge();
    }

    /// These are all the pods there are.
    pub fn pods_are(&self, uids: &HashSet<String>, now: Instant) {
        let gone: Vec<_> = self.lock().owners.keys().filter(|uid| !uids.contains(&***uid)).cloned().collect();
        for uid in gone {
            self.pod_gone(&uid, now);
        }
    }
}

impl Inner {
    fn pod_applied(&mut self, object: &Object, now: Instant) -> Option<Probe> {
        let uid: Arc<str> = object.uid()?.into();
        let labelled = (object.labels().get(labels::FUNCTION_UID), object.labels().get(labels::REVISION));
        let (Some(function_uid), Some(revision)) = labelled else {
            self.pod_gone(&uid, now);
            return None;
        };
        let moved =
            |record: &PodRecord| *record.pod.function_uid != **function_uid || *record.pod.revision != **revision;
        if self.record(&uid).is_some_and(moved) {
            self.pod_gone(&uid, now);
        }
        let phase = object.status.as_ref().and_then(|status| status.phase.as_deref());
        let ended = matches!(phase, Some("Succeeded" | "Failed"));
        let leaving = ended || object.metadata.deletion_timestamp.is_some();
        let created = object.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
        // While it ends, a pod keeps its IP; an ended one only still shows it.
        let ip = ip(object).filter(|_| !ended);
        self.owners.insert(Arc::clone(&uid), function_uid.as_str().into());
        // One that is on its way out when it is first seen serves nobody; but its IP is not another's yet.
        if !leaving || self.record(&uid).is_some() {
            let entry = self.entry(function_uid);
            let target = ip.and_then(|ip| target(object, ip, entry));
            let drained = entry.drain.as_ref().is_some_and(|drain| drain.covers(&uid));
            let record = entry.pods.entry(Arc::clone(&uid)).or_insert_with(|| {
                let pod = Pod::new(&uid, &object.name_any(), function_uid, revision, drained);
                debug!(pod = %pod.name, drained, "A pod was found.");
                PodRecord { pod, created, start: Start::Fine, since: now, target, probed: false }
            });
            record.target = target;
            record.look(object, now);
            if leaving {
                record.pod.leave();
            }
        }
        self.show(&uid, created, ip, now);
        let entry = self.entries.get_mut(&**function_uid)?;
        entry.refresh();
        entry.probe(&uid)
    }

    fn pod_gone(&mut self, uid: &str, now: Instant) {
        let Some((uid, function_uid)) = self.owners.remove_entry(uid) else { return };
        self.show(&uid, 0, None, now);
        if let Some(entry) = self.entries.get_mut(&function_uid) {
            if let Some(record) = entry.pods.remove(&uid) {
                record.pod.leave();
            }
            entry.failures.remove(&uid);
            entry.refresh();
        }
        self.tidy(&function_uid);
    }

    fn record(&self, uid: &str) -> Option<&PodRecord> {
        self.entries.get(self.owners.get(uid)?)?.pods.get(uid)
    }

    /// A pod made at `created` shows this IP, or none: gives every pod concerned its address, or takes it away.
    fn show(&mut self, uid: &Arc<str>, created: i64, ip: Option<IpAddr>, now: Instant) {
        let before = self.addresses.show(uid, created, ip);
        if let (None, Some(record)) = (ip, self.record(uid)) {
            record.pod.displace();
        }
        for ip in before.into_iter().chain(ip) {
            let Some((holder, others)) = self.addresses.holder(ip) else { continue };
            for record in others.filter_map(|uid| self.record(uid)) {
                record.pod.displace();
            }
            if let Some(record) = self.record(holder) {
                match record.target {
                    Some(target) => record.pod.locate(target, now),
                    None => record.pod.displace(),
                }
            }
        }
    }
}

impl PodRecord {
    fn look(&mut self, object: &Object, now: Instant) {
        if object.spec.as_ref().is_some_and(|spec| spec.node_name.is_some()) {
            self.pod.note(|seen| {
                seen.scheduled.get_or_insert(now);
            });
        }
        let start = of_pod(object, self.pod.was_ready());
        if std::mem::discriminant(&start) != std::mem::discriminant(&self.start) {
            self.since = now;
        }
        self.start = start;
    }
}

impl Entry {
    /// The pod, if it has a function and no probe yet.
    fn probe(&mut self, uid: &str) -> Option<Probe> {
        let function = self.function.as_ref()?;
        let record = self.pods.get_mut(uid).filter(|record| !record.probed && !record.pod.leaving.is_cancelled())?;
        record.probed = true;
        Some(Probe { pod: Arc::clone(&record.pod), function: Arc::clone(function) })
    }

    /// Every pod that has a function and no probe yet.
    pub(super) fn probes(&mut self) -> Vec<Probe> {
        let uids: Vec<_> = self.pods.keys().cloned().collect();
        uids.iter().filter_map(|uid| self.probe(uid)).collect()
    }
}

fn ip(object: &Object) -> Option<IpAddr> {
    object.status.as_ref()?.pod_ip.as_deref()?.parse().ok()
}

/// Where the pod listens, if its port is known.
fn target(object: &Object, ip: IpAddr, entry: &Entry) -> Option<Target> {
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
