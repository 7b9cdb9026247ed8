//! One revision on its way down. Pure.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::End;
use crate::{
    link::activator::Ack,
    scaling::{
        busy::Busy,
        order::{Acks, Order},
        view::Revision,
    },
};

/// How long pods that are being deleted are kept drained. By then every activator has seen that they are, and sends nothing
/// there by itself.
pub(super) const LEAVING: Duration = Duration::from_secs(5);

/// Why a revision goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nobody called for a whole window. Any request cancels it.
    Idle,
    /// The Function is paused, or scaled to zero by hand. Requests in flight may end first.
    Stopped,
    /// Another revision serves. Requests in flight may end first.
    Retired,
    /// It never started: there is nothing to drain.
    Failed,
    /// It has more replicas than it needs, or than were set by hand: some go, the others serve on. Requests in flight may end first.
    Excess,
}

/// What a revision should come down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// Why.
    pub why: Why,
    /// Replicas that stay; 0, unless it is for [`Why::Excess`].
    pub to: i32,
}

impl Want {
    /// Nothing of it should stay.
    pub fn none(why: Why) -> Self {
        Self { why, to: 0 }
    }
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
    /// The new number is being written; with the generation before it.
    Writing(i64),
    /// It is written; with the generation after that.
    Lowered(i64),
}

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) want: Want,
    pub(super) phase: Phase,
    /// Those that are to go.
    pub(super) pods: BTreeSet<String>,
    /// Its other pods, which are to stay.
    pub(super) stay: BTreeSet<String>,
    /// How many of these went.
    pub(super) strays: usize,
    pub(super) linger: Duration,
    pub(super) replicas: i32,
    /// Since when every activator has kept all of these pods drained.
    pub(super) since: Option<Instant>,
    pub(super) not_before: Instant,
    pub(super) tries: u32,
    /// Since when each of its pods that is left is being deleted.
    pub(super) leaving: Option<Instant>,
}

impl Target {
    /// `None`: this is not the moment. Only while each of its pods is Ready may some of them go: the ReplicaSet
    /// controller takes a starting one before it looks at any deletion cost. And while Kubernetes counts more of its pods
    /// than are seen, there may be requests at some that nobody would drain.
    pub(super) fn new(want: Want, revision: &Revision, busy: &Busy, now: Instant) -> Option<Self> {
        if want.why.drains() && revision.hidden > 0 {
            return None;
        }
        let pods = if want.to == 0 {
            revision.pods.clone()
        } else {
            if !revision.is_whole() {
                return None;
            }
            let leave = usize::try_from(revision.replicas - want.to).ok()?;
            busy.least(&revision.pods, leave)
        };
        Some(Self {
            want,
            phase: Phase::Draining,
            stay: revision.pods.difference(&pods).cloned().collect(),
            pods,
            strays: 0,
            linger: revision.linger,
            replicas: revision.replicas,
            since: None,
            not_before: now,
            tries: 0,
            leaving: None,
        })
    }

    /// Whether it is what is wanted still, before anything is written. Some pods go only from the picture in which they
    /// were chosen; all go from any.
    pub(super) fn holds(&self, want: Want, revision: &Revision) -> bool {
        let same = revision.replicas == self.replicas && revision.is_whole() && self.pods.is_subset(&revision.pods);
        want.to <= self.want.to && (self.want.to == 0 || same)
    }

    /// Whether nobody loses anything if its pods go now.
    pub(super) fn clear(&self, order: Option<&Order>, acks: &Acks, now: Instant) -> bool {
        if !self.want.why.drains() {
            return true;
        }
        let Some(order) = order.filter(|order| self.pods.is_subset(&order.pods)) else { return false };
        let waited = self.since.is_some_and(|since| now.saturating_duration_since(since) >= self.linger);
        let empty = |ack: &Ack, empty: &BTreeSet<String>| match self.want.why {
            Why::Idle => ack.in_flight == 0 && ack.held == 0,
            // Who waits is served by other pods, or refused. Who takes longer than is allowed is not waited for, nor who is
            // at pods of another revision that are on their way, too.
            Why::Stopped | Why::Retired | Why::Failed | Why::Excess => {
                ack.in_flight == 0 || waited || self.pods.is_subset(empty)
            }
        };
        acks.all(order, now, empty)
    }

    /// Follows a lowered revision's pods; gives how it ended, if it did.
    pub(super) fn follow_lowered(&mut self, revision: &Revision, generation: i64, now: Instant) -> Option<End> {
        let left = self.stay.len();
        self.stay.retain(|pod| revision.pods.contains(pod));
        self.strays += left - self.stay.len();
        let most = usize::try_from(self.want.to).unwrap_or_default();
        // Where others went in their place, those that stay serve again.
        let enough = self.want.to > 0 && revision.pods.len() <= most;
        self.pods.retain(|pod| revision.leaving.contains(pod) || (!enough && revision.pods.contains(pod)));
        // An older generation is the store's lag.
        if revision.replicas > self.want.to {
            return (revision.generation > generation).then_some(End::Raised);
        }
        // Who takes long to end, or is on a node that is lost, holds up nothing else.
        self.leaving = self.pods.is_disjoint(&revision.pods).then(|| self.leaving.unwrap_or(now));
        let waited = self.leaving.is_some_and(|since| now.saturating_duration_since(since) >= LEAVING);
        (self.pods.is_empty() || (self.want.why.drains() && waited)).then_some(End::Lowered { strays: self.strays })
    }
}
