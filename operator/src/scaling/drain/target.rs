//! One revision on its way to zero. Pure.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    link::activator::Ack,
    scaling::{
        order::{Acks, Order},
        view::Revision,
    },
};

/// Why a revision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody called for a whole window. Any request cancels it.
    Idle,
    /// The Function is paused. Requests in flight may end first.
    Paused,
    /// Another revision serves. Requests in flight may end first.
    Retired,
    /// It never started: there is nothing to drain.
    Failed,
}

impl Why {
    /// Whether its pods are drained first.
    pub(super) fn drains(self) -> bool {
        self != Self::Failed
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The order is out.
    Draining,
    /// The Deployment is being read; with the count of requests at its start.
    Reading(u64),
    /// 0 is being written; with the generation before it.
    Writing(i64),
    /// It is written; with the generation after that.
    Lowered(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) why: Why,
    pub(super) phase: Phase,
    pub(super) pods: BTreeSet<String>,
    pub(super) linger: Duration,
    pub(super) replicas: i32,
    pub(super) since: Instant,
    pub(super) not_before: Instant,
    pub(super) tries: u32,
}

impl Target {
    pub(super) fn new(why: Why, revision: &Revision, now: Instant) -> Self {
        Self {
            why,
            phase: Phase::Draining,
            pods: revision.pods.clone(),
            linger: revision.linger,
            replicas: revision.replicas,
            since: now,
            not_before: now,
            tries: 0,
        }
    }

    /// Whether nobody loses anything if its pods go now.
    pub(super) fn clear(&self, order: Option<&Order>, acks: &Acks, now: Instant) -> bool {
        if !self.why.drains() {
            return true;
        }
        let Some(order) = order.filter(|order| self.pods.is_subset(&order.pods)) else { return false };
        let waited = now.saturating_duration_since(self.since) >= self.linger;
        let empty = |ack: &Ack| match self.why {
            Why::Idle => ack.in_flight == 0 && ack.held == 0,
            // Who waits is served by another revision, or refused. Who takes longer than is allowed is not waited for.
            Why::Paused | Why::Retired | Why::Failed => ack.in_flight == 0 || waited,
        };
        acks.all(order, now, empty)
    }
}
