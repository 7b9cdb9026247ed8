//! All that the activators are told, as one message: complete each time, so that the newest alone says what holds.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use link::{
    MAX_MESSAGE_BYTES, ORDER_VALID,
    v1::{Drain, Orders, StartFailure},
};
use tokio::sync::watch;

use super::order::Order;
use crate::failure::Verdict;

/// Most failed starts in a message; the activators find most of them by themselves.
const FAILURES: usize = 2000;
/// Bytes of drains in a message, well below the limit: a drain that finds no room waits for another to end.
const DRAIN_BYTES: usize = MAX_MESSAGE_BYTES / 2;
/// Bytes of a UID with what is around it in the message.
const UID_BYTES: usize = 40;

/// What holds now, and where it is published.
#[derive(Debug)]
pub struct Ledger {
    epoch: u64,
    begun: Instant,
    drains: BTreeMap<String, Drain>,
    failures: Vec<StartFailure>,
    changed: bool,
    publish: watch::Sender<Arc<Orders>>,
}

impl Ledger {
    /// Nothing holds yet. What is issued later is told with the time since `now`.
    pub fn new(epoch: u64, now: Instant) -> (Self, watch::Receiver<Arc<Orders>>) {
        let (publish, orders) = watch::channel(Arc::new(Orders { epoch, ..Orders::default() }));
        let drains = BTreeMap::new();
        (Self { epoch, begun: now, drains, failures: Vec::new(), changed: false, publish }, orders)
    }

    /// When it was made: what acknowledgements repeat counts from then.
    pub fn begun(&self) -> Instant {
        self.begun
    }

    /// The order of a Function (by UID) from now on; `None` releases its pods.
    pub fn set(&mut self, function: &str, order: Option<&Order>) {
        let Some(order) = order else {
            self.changed |= self.drains.remove(function).is_some();
            return;
        };
        if self.drains.get(function).is_some_and(|drain| drain.order == order.id) {
            return;
        }
        let drain = Drain {
            function_uid: function.to_owned(),
            order: order.id,
            pod_uids: order.pods.iter().cloned().collect(),
            valid_ms: u32::try_from(ORDER_VALID.as_millis()).unwrap_or(u32::MAX),
        };
        self.drains.insert(function.to_owned(), drain);
        self.changed = true;
    }

    /// The failed starts from now on.
    pub fn set_failures(&mut self, verdicts: &[Verdict]) {
        let told = |verdict: &Verdict| {
            let one = |pod: &String| StartFailure {
                function_uid: verdict.function_uid.clone(),
                pod_uid: pod.clone(),
                reason: verdict.failure.reason.to_string(),
                message: verdict.failure.message.clone(),
            };
            verdict.pod_uids.iter().map(one).collect::<Vec<_>>()
        };
        let mut failures: Vec<StartFailure> = verdicts.iter().flat_map(told).collect();
        failures.sort_by(|a, b| (&a.function_uid, &a.pod_uid).cmp(&(&b.function_uid, &b.pod_uid)));
        failures.truncate(FAILURES);
        if failures != self.failures {
            self.failures = failures;
            self.changed = true;
        }
    }

    /// Publishes if anything has changed since the last time.
    pub fn publish(&mut self, now: Instant) {
        if self.changed {
            self.renew(now);
        }
    }

    /// Publishes; called each second, because an order that is not renewed lapses. Where nothing holds, there is nothing to
    /// renew.
    pub fn renew(&mut self, now: Instant) {
        if !self.changed && self.drains.is_empty() {
            return;
        }
        self.changed = false;
        let mut bytes = 0;
        let fits = |drain: &&Drain| {
            bytes += UID_BYTES * (drain.pod_uids.len() + 1);
            bytes <= DRAIN_BYTES
        };
        let drains = self.drains.values().filter(fits).cloned().collect();
        let since = now.saturating_duration_since(self.begun);
        let orders = Orders {
            epoch: self.epoch,
            drains,
            failures: self.failures.clone(),
            issued_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
        };
        self.publish.send_replace(Arc::new(orders));
    }

    /// UIDs of the Functions that have an order.
    pub fn ordered(&self) -> HashSet<String> {
        self.drains.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn order(id: u64, pods: &[&str]) -> Order {
        Order { id, pods: pods.iter().map(|pod| (*pod).to_owned()).collect() }
    }

    #[test]
    fn a_message_is_complete_and_leaving_out_releases() {
        let (mut ledger, orders) = Ledger::new(7, Instant::now());
        ledger.set("f", Some(&order(1, &["a", "b"])));
        ledger.set("g", Some(&order(2, &[])));
        ledger.publish(Instant::now());
        let message = Arc::clone(&orders.borrow());
        assert_eq!(message.epoch, 7);
        let drains: Vec<_> =
            message.drains.iter().map(|d| (d.function_uid.as_str(), d.order, d.pod_uids.len())).collect();
        assert_eq!(drains, [("f", 1, 2), ("g", 2, 0)]);
        assert!(message.drains.iter().all(|drain| drain.valid_ms == 5000));
        ledger.set("f", None);
        ledger.publish(Instant::now());
        assert_eq!(orders.borrow().drains.len(), 1);
        assert_eq!(ledger.ordered(), HashSet::from(["g".to_owned()]));
    }

    #[test]
    fn only_a_change_is_published_at_once_and_a_renewal_always() {
        let (mut ledger, mut orders) = Ledger::new(7, Instant::now());
        ledger.set("f", Some(&order(1, &["a"])));
        ledger.publish(Instant::now());
        orders.mark_unchanged();
        ledger.set("f", Some(&order(1, &["a"])));
        ledger.set_failures(&[]);
        ledger.publish(Instant::now());
        assert!(!orders.has_changed().unwrap());
        ledger.renew(Instant::now());
        assert!(orders.has_changed().unwrap());
    }

    #[test]
    fn a_message_stays_below_its_limit() {
        let (mut ledger, orders) = Ledger::new(1, Instant::now());
        let pods: BTreeSet<String> = (0..1000).map(|pod| format!("{pod:036}")).collect();
        for id in 1..=100 {
            ledger.set(&format!("{id:036}"), Some(&Order { id, pods: pods.clone() }));
        }
        ledger.publish(Instant::now());
        let sent = orders.borrow().drains.len();
        assert!(sent > 40 && sent < 60, "{sent}");
    }
}
