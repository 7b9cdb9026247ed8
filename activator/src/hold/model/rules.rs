//! What must hold.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::Instant;

use super::Verdict;
use super::objects::COLD_START;
use super::request::{Outcome, Request, Waiting};
use super::step::{MOST_TARGET, Mode};
use super::world::World;
use crate::function::Function;
use crate::hold::pace::{AT_ONCE, PATIENT, PROMPT};
use crate::hold::{Entry, Pace, Used};
use crate::path::fault::{Fault, Share};

/// The longest time after a failed call of the API server until the next: the call's deadline and the longest pause.
const NEXT_CALL: Duration = Duration::from_millis(2500);

/// What was so before a request had its turn.
pub(super) struct Before {
    is_new: bool,
    held: usize,
    process: Used,
    namespace: Used,
    queue: usize,
}

/// A request that went to a pod.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) id: usize,
    /// By the ticks; not later than it was given.
    pub(super) at: u64,
    /// The same; not earlier. Its deadline may have woken it too, before or after.
    pub(super) by: u64,
    pub(super) waited: Option<Waiting>,
}

impl Before {
    pub(super) fn new(world: &World, id: usize) -> Self {
        let Request { function, begun, .. } = &world.requests[id];
        let namespace = world.places.by_namespace().get(&function.key.namespace).copied().unwrap_or_default();
        let process = world.places.used();
        Self { is_new: !begun, held: function.gate.held(), process, namespace, queue: function.spec.load().queue }
    }

    /// Whose limit a request with a head of this length would break.
    fn full(&self, (process, namespace): (Used, Used), bytes: usize) -> Option<Share> {
        let over = |used: Used, most: Used| used.requests >= most.requests || used.bytes + bytes > most.bytes;
        if over(self.process, process) {
            Some(Share::Process)
        } else if over(self.namespace, namespace) {
            Some(Share::Namespace)
        } else {
            (self.held >= self.queue).then_some(Share::Function)
        }
    }
}

impl World {
    /// A request has had its turn.
    pub(super) fn check_turn(&self, id: usize, before: &Before) -> Verdict {
        let request = &self.requests[id];
        if before.is_new {
            let full = before.full(self.places.most(), request.bytes);
            if request.waiting.is_some() {
                prop_assert_eq!(full, None, "request {} waits beyond a limit", id);
            }
            if let Some(Outcome::Failed(Fault::QueueFull(share))) = &request.outcome {
                prop_assert_eq!(full, Some(*share), "request {} was turned away", id);
            }
        }
        let Some(Outcome::Failed(fault)) = &request.outcome else { return Ok(()) };
        let (uid, past) = (&*request.function.uid, &self.past);
        let may = match fault {
            Fault::QueueFull(_) => before.is_new,
            Fault::Overloaded => !request.visited,
            Fault::Deleted => past.removed.contains(uid),
            Fault::Paused => past.paused.contains(uid),
            Fault::ScaledToZeroByHand(_) => past.by_hand.contains(uid),
            Fault::StartFailed { .. } => past.crashed.contains(uid),
            Fault::WakeRefused(_) => past.refused,
            Fault::ColdStartDeadline(_) => {
                request.arrived.elapsed() >= request.at_pods + Duration::from_secs(COLD_START)
            }
            Fault::Broken(_) | Fault::Unreachable => request.visited,
            _ => false,
        };
        prop_assert!(may, "request {} was answered {:?} without a reason", id, fault);
        Ok(())
    }

    /// Nobody has anything to do.
    pub(super) fn check_rest(&self) -> Verdict {
        prop_assert!(!self.visits.lock().twice, "a request is at two pods");
        for function in &self.all {
            self.check_queue(function)?;
        }
        let waiting = || self.requests.iter().filter(|request| request.waiting.is_some());
        let bytes = waiting().map(|request| request.bytes).sum();
        prop_assert_eq!(self.places.used(), Used { requests: waiting().count(), bytes }, "places");
        self.check_pods()?;
        self.check_order()
    }

    fn waiting(&self, function: &Arc<Function>) -> impl Iterator<Item = (usize, &Request, Waiting)> {
        let all = self.requests.iter().enumerate().filter(|(_, request)| Arc::ptr_eq(&request.function, function));
        all.filter_map(|(id, request)| Some((id, request, request.waiting?)))
    }

    fn check_queue(&self, function: &Arc<Function>) -> Verdict {
        let waiting = self.waiting(function).count();
        prop_assert_eq!(function.gate.held(), waiting, "held of {}", &function.uid);
        let totals = function.totals.read(crate::clock::now());
        prop_assert_eq!(totals.held, waiting as u64, "held of {}, as the leader hears it", &function.uid);
        for (id, _, Waiting { deadline, .. }) in self.waiting(function) {
            prop_assert!(Instant::now() < deadline, "request {} waits beyond its deadline", id);
        }
        if self.past.removed.contains(&*function.uid) {
            prop_assert_eq!(waiting, 0, "somebody waits for {}, which is deleted", &function.uid);
        }
        let (serving, spec) = (function.serving.load(), function.spec.load());
        let ready = serving.iter().filter(|pod| pod.is_ready()).count();
        let pace = Pace::of(&spec, ready);
        for pod in serving.iter().filter(|pod| pod.is_ready() && !pod.slots.read().drained) {
            let room = pod.soft.load(Ordering::Acquire) < pace.most;
            prop_assert!(waiting == 0 || !room, "{} wait though pod {} has room", waiting, &pod.uid);
            let came = self.grants.iter().any(|grant| {
                let there = self.visits.lock().visits.get(&grant.id).is_some_and(|visit| Arc::ptr_eq(&visit.pod, pod));
                grant.waited.is_some() && there
            });
            // Whatever the pace was when it got them, it was none of these settings'.
            let most = if came && self.steady { pace.most } else { AT_ONCE.max(MOST_TARGET) };
            let soft = pod.soft.load(Ordering::Acquire);
            prop_assert!(soft <= most, "pod {} got {} of the queue at once", &pod.uid, soft);
        }
        Ok(())
    }

    fn check_pods(&self) -> Verdict {
        let state = self.visits.lock();
        for pod in self.pods.iter().map(|pod| pod.pod()) {
            let here = || state.visits.iter().filter(|(_, visit)| Arc::ptr_eq(&visit.pod, pod));
            let streams = state.streams.iter().filter(|stream| Arc::ptr_eq(stream.taken.pod(), pod)).count();
            prop_assert_eq!(pod.slots.read().in_flight, (here().count() + streams) as u64, "slots of {}", &pod.uid);
            prop_assert_eq!(pod.pulse.awaited(), here().count() as u64, "awaited of {}", &pod.uid);
            let younger = |lasts: Duration| {
                here().filter(|(id, visit)| self.requests[**id].queued && visit.since.elapsed() < lasts).count()
            };
            // Whether more replicas were to come when it was let go is not known any more.
            let (least, most) = (younger(PROMPT), younger(PATIENT));
            let soft = pod.soft.load(Ordering::Acquire) as usize;
            prop_assert!((least..=most).contains(&soft), "shares of {}: {}, not {} to {}", &pod.uid, soft, least, most);
        }
        Ok(())
    }

    /// Nobody was served before one that waited then, waits still and came earlier; and those who were served from the
    /// queue were so in its order.
    fn check_order(&self) -> Verdict {
        for grant in &self.grants {
            let function = &self.requests[grant.id].function;
            for (id, ..) in self.waiting(function).filter(|(.., waiting)| waiting.since < grant.at) {
                prop_assert!(grant.id < id, "request {} was served though request {} waited before it", grant.id, id);
            }
            for other in self.grants.iter().filter(|other| Arc::ptr_eq(&self.requests[other.id].function, function)) {
                let (Some(own), Some(others)) = (grant.waited, other.waited) else { continue };
                let (began, first) = (own.since.max(others.since), grant.at.min(other.at));
                if began < first && grant.id < other.id {
                    prop_assert!(grant.at < other.by, "request {} was served before {}", other.id, grant.id);
                }
            }
        }
        Ok(())
    }

    /// The function is woken once for all who wait, and is woken.
    pub(super) fn check_wakes(&self) -> Verdict {
        let api = self.api.lock();
        prop_assert!(api.needless.is_empty(), "woken again: {:?}", api.needless);
        let calm = api.trouble.is_none_or(|trouble| trouble.elapsed() > NEXT_CALL);
        for place in self.functions.iter().filter(|place| place.settings.mode == Mode::Auto && calm) {
            let Some(function) = &place.function else { continue };
            let (Some(deployment), Some(seen)) = (api.deployments.get(&place.revision), &*function.workload.load())
            else {
                continue;
            };
            let caught_up = seen.version == Some(deployment.version);
            if function.gate.held() > 0 && caught_up && api.mood.is_none_or(|mood| mood == super::step::Mood::Well) {
                prop_assert!(deployment.replicas > 0, "{} is not woken, and somebody waits", &function.uid);
            }
        }
        Ok(())
    }

    /// The script is over and much time has passed.
    pub(super) fn check_end(&mut self) -> Verdict {
        for (id, request) in self.requests.iter().enumerate() {
            prop_assert!(request.outcome.is_some(), "request {} was lost", id);
        }
        self.check_rest()?;
        prop_assert_eq!(self.places.used(), Used::default());
        prop_assert!(self.places.by_namespace().is_empty());
        for function in &self.all {
            let totals = function.totals.read(crate::clock::now());
            prop_assert_eq!((totals.held, totals.in_flight), (0, 0), "{}", &function.uid);
        }
        for function in self.functions.iter().filter_map(|place| place.function.as_ref()) {
            let wake = match function.enter(Instant::now(), false) {
                Entry::Wait { wake, .. } => wake.is_some(),
                _ => true,
            };
            prop_assert!(
                wake || function.spec.load().queue == 0,
                "the next one to wait for {} wakes nobody",
                &function.uid
            );
        }
        Ok(())
    }
}
