//! The leader's orders: which pods take nothing new. State, not deltas: what the newest orders do not say is over.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use crds::Reason;
use link::v1::{Drain as Order, Orders, StartFailure};
use runtime::failure::Failure;
use tokio::time::Instant;
use tracing::{debug, info};

use super::Index;
use super::entry::{Drain, Entry};
use crate::clock;

/// What an acknowledgement says of one function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Of the leader that gave the order.
    pub epoch: u64,
    /// UID of the Function.
    pub function_uid: Arc<str>,
    /// The order.
    pub order: u64,
    /// Requests that wait.
    pub held: u64,
    /// Requests in flight on the order's pods.
    pub in_flight: u64,
    /// Requests so far.
    pub requests: u64,
    /// When the leader said last that the order holds, by its own clock.
    pub issued_ms: u64,
}

impl Index {
    /// Does as ordered: first the flags, so that counts read afterwards are good for an acknowledgement. Orders of an
    /// earlier leader are passed over. Whoever calls reports then: nobody is urged to.
    pub fn obey(&self, orders: &Orders, now: Instant) {
        let mut inner = self.lock();
        if orders.epoch < inner.epoch {
            debug!(epoch = orders.epoch, newest = inner.epoch, "Orders of an earlier leader came.");
            return;
        }
        inner.epoch = orders.epoch;
        let named: HashSet<&str> = orders.drains.iter().map(|drain| drain.function_uid.as_str()).collect();
        let over: Vec<_> = inner.draining.iter().filter(|uid| !named.contains(&***uid)).cloned().collect();
        for uid in over {
            inner.draining.remove(&uid);
            if let Some(entry) = inner.entries.get_mut(&uid) {
                entry.restore();
            }
            inner.tidy(&uid);
        }
        for order in &orders.drains {
            inner.draining.insert(order.function_uid.as_str().into());
            inner.entry(&order.function_uid).drain(orders, order, now);
        }
        let mut said: HashMap<&str, Vec<&StartFailure>> = HashMap::new();
        for failure in &orders.failures {
            said.entry(&failure.function_uid).or_default().push(failure);
        }
        for (uid, entry) in &mut inner.entries {
            entry.hear(said.get(&**uid).map_or(&[][..], Vec::as_slice));
        }
    }

    /// Gives back the pods of orders that were not renewed in time.
    pub fn lapse(&self, now: Instant) {
        let mut inner = self.lock();
        let due = |entry: &Entry| entry.drain.as_ref().is_some_and(|drain| drain.until <= now);
        let over: Vec<_> =
            inner.draining.iter().filter(|uid| inner.entries.get(*uid).is_none_or(due)).cloned().collect();
        for uid in over {
            info!(function_uid = %uid, "An order lapsed: its pods take requests again.");
            inner.draining.remove(&uid);
            if let Some(entry) = inner.entries.get_mut(&uid) {
                entry.restore();
            }
            inner.tidy(&uid);
        }
    }

    /// Gives a function's drained pods back before the order's end, as a request waits and nobody does anything about it.
    /// The order is void here from then on: it is acknowledged no more, and only a new one drains again.
    pub fn take_back(&self, function_uid: &str) {
        let mut inner = self.lock();
        if let Some(entry) = inner.entries.get_mut(function_uid)
            && let Some(drain) = &mut entry.drain
            && !drain.void
        {
            info!(function_uid, order = drain.order, "Drained pods were taken back: requests wait for them.");
            drain.void = true;
            entry.apply();
            drop(inner);
            self.beacon.urge();
        }
    }

    /// Acknowledgements of the orders in force, with counts as of now.
    pub fn acks(&self) -> Vec<Ack> {
        let inner = self.lock();
        let entries = inner.draining.iter().filter_map(|uid| Some((uid, inner.entries.get(uid)?)));
        entries.filter_map(|(uid, entry)| entry.ack(uid)).collect()
    }
}

impl Entry {
    fn drain(&mut self, orders: &Orders, order: &Order, now: Instant) {
        let epoch = orders.epoch;
        let void = self.drain.as_ref().is_some_and(|d| d.void && (d.epoch, d.order) == (epoch, order.order));
        self.drain = Some(Drain {
            epoch,
            issued_ms: orders.issued_ms,
            order: order.order,
            pods: order.pod_uids.iter().map(|uid| uid.as_str().into()).collect(),
            until: now + Duration::from_millis(order.valid_ms.into()),
            void,
        });
        self.apply();
    }

    fn restore(&mut self) {
        self.drain = None;
        self.apply();
    }

    /// Sets every pod's flag to what the order in force says.
    fn apply(&self) {
        for (uid, record) in &self.pods {
            if self.drain.as_ref().is_some_and(|drain| drain.covers(uid)) {
                record.pod.slots.drain();
            } else {
                record.pod.slots.restore();
            }
        }
        if let Some(function) = &self.function {
            function.release();
            function.gate.changed.notify_one();
        }
    }

    fn ack(&self, uid: &Arc<str>) -> Option<Ack> {
        let drain = self.drain.as_ref().filter(|drain| !drain.void)?;
        // The flags are set: what is read from here on only falls.
        let loads = self.pods.values().filter(|record| drain.covers(&record.pod.uid));
        let in_flight = loads.map(|record| record.pod.slots.read().in_flight).sum();
        let totals = self.function.as_ref().map(|function| function.totals.read(clock::now()));
        let (held, requests) = totals.map_or((0, 0), |totals| (totals.held, totals.requests));
        Some(Ack {
            epoch: drain.epoch,
            function_uid: Arc::clone(uid),
            order: drain.order,
            held,
            in_flight,
            requests,
            issued_ms: drain.issued_ms,
        })
    }

    /// Takes the leader's word on starts.
    fn hear(&mut self, said: &[&StartFailure]) {
        let next: HashMap<Arc<str>, Failure> = said
            .iter()
            .map(|failure| {
                let reason = Reason::parse(&failure.reason).unwrap_or(Reason::ContainerStartError);
                (failure.pod_uid.as_str().into(), Failure::new(reason, failure.message.as_str()))
            })
            .collect();
        if next != self.failures {
            self.failures = next;
            self.refresh();
        }
    }
}
