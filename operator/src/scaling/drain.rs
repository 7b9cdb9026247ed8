//! Bringing revisions of one Function down, to zero or to fewer replicas, without losing a request. Pure.
//!
//! Each revision that should go down passes through these states; the Function has one order, with the pods of all of
//! them that are to go.
//! ```text
//!            wanted lower                 every activator: flag set,           read: the Deployment's
//!                                         nothing in flight, all fresh;        version, still the same picture
//!                                         where others stay: costs seen
//! (nothing) ─────────────► Draining ──────────────────────────────► Reading ─────────────────────► Writing
//!     ▲                      │  ▲ ▲                                    │                              │ │
//!     │  load came back,     │  │ └────────────────────────────────────┘ something changed            │ │
//!     │  an activator fell   │  └─────────── 409: decide again, under a new order ────────────────────┘ │ done
//!     │  silent              ▼                                                                          ▼
//!     └──────────────────────┴───────── its pods are gone or serve again, or it was raised ────────── Lowered
//! ```
//! An order is released by being left out. Where some pods stay, those that go are the least busy, and a deletion cost names
//! them to the ReplicaSet. It is a wish: afterwards it is compared who is going, and who stays although drained serves
//! again. Decision 5 of the design.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{
    busy::Busy,
    order::{Acks, Order, OrderIds},
    view::Revision,
};
use crate::link::activator::Ack;

mod marks;
mod rests;
mod target;

pub use marks::Marking;
use marks::Marks;
use rests::Rests;
use target::{Phase, Target};
pub use target::{Want, Why};

/// Failed tries after which the pods are given back for a while.
const TRIES: u32 = 5;
/// Pause after a conflict or a failed try, doubled with each.
const RETRY: Duration = Duration::from_millis(100);
/// An order that not everybody keeps for so long is given anew: an activator that took its pods back keeps to no order that
/// it has had before.
const ANEW: Duration = Duration::from_secs(5);

/// What is wanted of a revision.
#[derive(Clone, Copy, Debug)]
pub struct Goal<'a> {
    /// The revision, as it is.
    pub revision: &'a Revision,
    /// To what it should come down; `None`: it should not.
    pub want: Option<Want>,
}

/// What is to be done for a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read its Deployment from the API server, then call [`Drains::read`].
    Read,
    /// Write `to` with this resource version, then call [`Drains::written`].
    Lower {
        /// Replicas.
        to: i32,
        /// The condition of the write.
        version: String,
    },
    /// Write the deletion costs of these pods; call [`Drains::unmarked`] with those that are not as asked then.
    Mark(Marking),
    /// Nothing more: this is how it ended.
    Ended(Why, End),
}

/// How bringing a revision down ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is at the new number and the other pods are gone.
    Lowered {
        /// Pods that went without being drained, in the place of others.
        strays: usize,
    },
    /// It is wanted again: nothing was written and its pods are given back.
    Cancelled,
    /// It was raised after it had been lowered. What is left of its pods is given back.
    Raised,
    /// The Deployment is gone.
    Gone,
    /// The API server did not take the write; the pods are given back, and it is tried again later.
    Refused,
    /// The pods that were to go could not be named to Kubernetes; they are given back, and it is tried again later.
    Unnamed,
}

/// The Deployment as the API server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// Resource version.
    pub version: String,
    /// Generation.
    pub generation: i64,
    /// Replicas that are wanted.
    pub replicas: i32,
}

/// How a read or a write went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is written.
    Done,
    /// Somebody else has written meanwhile.
    Conflict,
    /// There is no such Deployment.
    Gone,
    /// It failed, or nobody knows whether it took place.
    Failed,
    /// It was not tried: the lease does not hold long enough.
    NotNow,
}

/// The revisions of one Function that are on their way down.
#[derive(Clone, Debug, Default)]
pub struct Drains {
    targets: BTreeMap<String, Target>,
    marks: Marks,
    order: Option<Order>,
    rests: Rests,
    /// The order is to be acknowledged anew.
    renew: bool,
    /// Since when not everybody keeps the order, while something waits for that.
    unheeded: Option<Instant>,
}

impl Drains {
    /// What the activators are told.
    pub fn order(&self) -> Option<&Order> {
        self.order.as_ref()
    }

    /// Whether anything is on its way.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// Whether this revision is on its way.
    pub fn has(&self, revision: &str) -> bool {
        self.targets.contains_key(revision)
    }

    /// Whether this revision must not be raised now. One that is lowered already may be: what is left of its pods is given
    /// back. Not a failed start, of which nothing is to be left when it starts afresh.
    pub fn holds(&self, revision: &str) -> bool {
        let open = |target: &Target| !target.want.why.drains() || !matches!(target.phase, Phase::Lowered(_));
        self.targets.get(revision).is_some_and(open)
    }

    /// How many activators have yet to acknowledge the order, while a revision waits for that.
    pub fn unacknowledged(&self, acks: &Acks) -> Option<usize> {
        let order = self.order.as_ref()?;
        let waits = self.targets.values().any(|target| target.phase == Phase::Draining && target.want.why.drains());
        let given = |ack: &Option<Ack>| ack.is_some_and(|ack| ack.epoch == acks.epoch && ack.order == order.id);
        let missing = acks.given.iter().filter(|ack| !given(ack)).count();
        (waits && (missing > 0 || acks.given.is_empty())).then_some(missing)
    }

    /// Looks at everything: takes up, gives up, follows what happened, and says what is to be done. It is called on every
    /// change and now and then, and calling it again changes nothing.
    pub fn step(
        &mut self,
        goals: &[Goal<'_>],
        busy: &Busy,
        acks: &Acks,
        now: Instant,
        ids: &mut OrderIds,
    ) -> Vec<(String, Step)> {
        let mut steps = Vec::new();
        self.targets.retain(|name, target| {
            let there = goals.iter().any(|goal| goal.revision.name == *name);
            if !there {
                steps.push((name.clone(), Step::Ended(target.want.why, End::Gone)));
            }
            there
        });
        self.rests.0.retain(|name, _| goals.iter().any(|goal| goal.revision.name == *name));
        for goal in goals {
            if let Some(ended) = self.follow(goal, busy, now) {
                steps.push((goal.revision.name.clone(), ended));
            }
        }
        self.reorder(acks, now, ids);
        self.heed(acks, now);
        for goal in goals {
            let next = self.advance(goal.revision, acks, now);
            steps.extend(next.into_iter().map(|step| (goal.revision.name.clone(), step)));
        }
        steps
    }

    /// Takes a drained revision on: first the costs of its pods, where others stay, then the write.
    fn advance(&mut self, revision: &Revision, acks: &Acks, now: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        let order = self.order.as_ref();
        let target = self.targets.get_mut(&revision.name);
        let hidden = revision.hidden > 0 && target.as_ref().is_some_and(|target| target.want.why.drains());
        let clear = target.as_ref().is_some_and(|target| target.clear(order, acks, now)) && !hidden;
        let named: BTreeSet<String> = match &target {
            // All go: nobody need be named, and names from earlier do no harm.
            Some(target) if target.want.to == 0 => revision.marked.clone(),
            Some(target) if clear => target.pods.clone(),
            Some(target) => target.pods.intersection(&revision.marked).cloned().collect(),
            None => BTreeSet::new(),
        };
        steps.extend(self.marks.step(&revision.pods, &revision.marked, &named, now).map(Step::Mark));
        let Some(target) = target else { return steps };
        let named = named.is_subset(&revision.marked);
        if (!named || hidden) && matches!(target.phase, Phase::Reading(_)) {
            // A cost was taken away by a late write from before, or the picture is older than it was taken for: the answer
            // is not waited for.
            target.phase = Phase::Draining;
        }
        if target.phase == Phase::Draining && now >= target.not_before && clear && named {
            target.phase = Phase::Reading(acks.requests());
            steps.push(Step::Read);
        }
        steps
    }

    /// The answer to [`Step::Read`]: writes if the picture has not changed since.
    pub fn read(
        &mut self,
        revision: &str,
        current: Result<Current, Outcome>,
        acks: &Acks,
        now: Instant,
    ) -> Option<Step> {
        let order = self.order.as_ref();
        let target = self.targets.get_mut(revision)?;
        let Phase::Reading(before) = target.phase else { return None };
        target.phase = Phase::Draining;
        // Where the picture has changed there is no hurry to look again.
        target.not_before = now + RETRY;
        match current {
            Ok(current) if current.replicas <= target.want.to => {
                target.phase = Phase::Lowered(current.generation);
                None
            }
            // Raised since it was looked at: decide again.
            Ok(current) if current.replicas > target.replicas => None,
            // Lowered by somebody else, and not to what is wanted: the pods that were chosen may be gone.
            Ok(current) if target.want.to > 0 && current.replicas != target.replicas => None,
            Ok(current) => {
                let unasked = target.want.why != Why::Idle || acks.requests() == before;
                if !unasked || !target.clear(order, acks, now) {
                    return None;
                }
                target.phase = Phase::Writing(current.generation);
                Some(Step::Lower { to: target.want.to, version: current.version })
            }
            Err(outcome) => self.failed(revision, outcome, now),
        }
    }

    /// The answer to [`Step::Lower`].
    pub fn written(&mut self, revision: &str, outcome: Outcome, now: Instant) -> Option<Step> {
        let target = self.targets.get_mut(revision)?;
        let Phase::Writing(generation) = target.phase else { return None };
        if outcome == Outcome::Done {
            target.phase = Phase::Lowered(generation + 1);
            self.rests.over(revision);
            return None;
        }
        target.phase = Phase::Draining;
        self.failed(revision, outcome, now)
    }

    fn failed(&mut self, revision: &str, outcome: Outcome, now: Instant) -> Option<Step> {
        let target = self.targets.get_mut(revision)?;
        target.not_before = now + RETRY * 2_u32.saturating_pow(target.tries.min(5));
        match outcome {
            Outcome::Done | Outcome::NotNow => None,
            // What was acknowledged before the conflict is not taken for what is so now.
            Outcome::Conflict => {
                target.tries += 1;
                self.renew = true;
                None
            }
            Outcome::Gone => {
                let why = target.want.why;
                self.targets.remove(revision);
                Some(Step::Ended(why, End::Gone))
            }
            Outcome::Failed => {
                target.tries += 1;
                if target.tries < TRIES {
                    return None;
                }
                self.rest(revision, End::Refused, now)
            }
        }
    }

    /// Costs of these pods, which [`Step::Mark`] asked for, are not as asked. Who is not named after [`TRIES`] is given back.
    pub fn unmarked(&mut self, revision: &str, pods: &BTreeSet<String>, now: Instant) -> Option<Step> {
        pods.iter().for_each(|pod| self.marks.failed(pod, now));
        let target = self.targets.get_mut(revision)?;
        if target.want.to == 0 || target.phase != Phase::Draining || pods.is_disjoint(&target.pods) {
            return None;
        }
        target.tries += 1;
        if target.tries < TRIES { None } else { self.rest(revision, End::Unnamed, now) }
    }

    /// A [`Step::Mark`] found no place among the open calls: the next look asks for it again.
    pub fn mark_postponed(&mut self, marking: &Marking, now: Instant) {
        self.marks.postponed(marking, now);
    }

    /// Gives the pods back for a while, which is longer each time.
    fn rest(&mut self, revision: &str, end: End, now: Instant) -> Option<Step> {
        self.rests.begin(revision, end, now);
        self.end(revision, end)
    }

    /// Brings one revision's target in line with its goal and with what is seen.
    fn follow(&mut self, goal: &Goal<'_>, busy: &Busy, now: Instant) -> Option<Step> {
        let revision = goal.revision;
        let Some(target) = self.targets.get_mut(&revision.name) else {
            let rests = |want: &Want| self.rests.concern(&revision.name, *want, now);
            let want = goal.want.filter(|want| revision.replicas > want.to && !rests(want));
            let target = want.and_then(|want| Target::new(want, revision, busy, now));
            self.targets.extend(target.map(|target| (revision.name.clone(), target)));
            return None;
        };
        if let (Phase::Draining | Phase::Reading(_), Some(want)) = (&target.phase, goal.want)
            && revision.replicas <= want.to
        {
            // By somebody else, or by a write of ours whose answer was lost.
            target.want = want;
            target.phase = Phase::Lowered(revision.generation);
        }
        match target.phase {
            Phase::Writing(_) => None,
            Phase::Lowered(generation) => {
                let end = target.follow_lowered(revision, generation, now)?;
                self.end(&revision.name, end)
            }
            Phase::Draining | Phase::Reading(_) => match goal.want {
                // From some to all: a wish of its own, with all pods.
                Some(want) if want.to == 0 => {
                    if want != target.want {
                        target.want = want;
                        target.phase = Phase::Draining;
                    }
                    if !revision.pods.is_subset(&target.pods) {
                        target.since = None;
                    }
                    target.pods.clone_from(&revision.pods);
                    target.stay.clear();
                    target.replicas = revision.replicas;
                    target.linger = revision.linger;
                    None
                }
                Some(want) if target.holds(want, revision) => None,
                None | Some(_) => self.end(&revision.name, End::Cancelled),
            },
        }
    }

    fn end(&mut self, revision: &str, end: End) -> Option<Step> {
        self.targets.remove(revision).map(|target| Step::Ended(target.want.why, end))
    }

    /// One order for all targets: the same as before while its pods are the same, else another.
    fn reorder(&mut self, acks: &Acks, now: Instant, ids: &mut OrderIds) {
        let draining = || self.targets.values().filter(|target| target.want.why.drains());
        if draining().next().is_none() {
            self.order = None;
            self.renew = false;
            return;
        }
        let pods: BTreeSet<String> = draining().flat_map(|target| target.pods.iter().cloned()).collect();
        let renew = self.renew || self.unheeded.is_some_and(|since| now >= since + ANEW);
        if renew || self.order.as_ref().is_none_or(|order| order.pods != pods) {
            // Who did not keep it to its end may have sent requests to its pods.
            if self.order.as_ref().is_none_or(|order| !acks.all(order, now, |_, _| true)) {
                self.targets.values_mut().for_each(|target| target.since = None);
            }
            self.order = Some(Order { id: ids.next(), pods });
            self.renew = false;
            self.unheeded = None;
        }
    }

    /// Notes since when everybody keeps the order. Who is not heard may be sending requests to its pods.
    fn heed(&mut self, acks: &Acks, now: Instant) {
        let kept = self.order.as_ref().is_some_and(|order| acks.all(order, now, |_, _| true));
        let unheard = acks.given.iter().any(Option::is_none);
        for target in self.targets.values_mut() {
            if unheard {
                target.since = None;
            } else if kept {
                target.since.get_or_insert(now);
            }
        }
        let open = |target: &Target| matches!(target.phase, Phase::Draining | Phase::Reading(_));
        let waits = self.order.is_some() && self.targets.values().any(open);
        self.unheeded = (waits && !kept).then(|| self.unheeded.unwrap_or(now));
    }
}

#[cfg(test)]
mod tests;
