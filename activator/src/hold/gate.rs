//! The gate of one function: requests pass at once while a pod is ready and nobody waits; else they wait in order.
//!
//! A pod that becomes free is handed to the first waiter, by whoever noticed it ([`Function::release`]).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::queue::{Entered, Queue};
use super::{Grant, Pace};
use crate::clock;
use crate::function::Function;
use crate::path::fault::{Fault, Share};

type Outcome = Result<Grant, Fault>;

/// One who waits.
#[derive(Debug)]
struct Waiter {
    answer: oneshot::Sender<Outcome>,
    since: Instant,
}

/// The queue of one function.
#[derive(Debug, Default)]
pub struct Gate {
    queue: Queue<Waiter>,
    /// Rung whenever the waker should look again: an arrival, the last departure, a change of the workload.
    pub changed: Notify,
}

/// How a request enters.
#[derive(Debug)]
pub enum Entry {
    /// At once.
    Pass(Grant),
    /// By waiting.
    Wait {
        /// The place in the queue.
        ticket: Ticket,
        /// For the function's waker, which the caller must start: nobody has.
        wake: Option<Watch>,
    },
    /// Not at all.
    Refused(Fault),
}

/// The waker's hold on a queue: while it lives, nobody starts another. One that ends while somebody waits, by a panic or
/// because it was never started, makes room for the next.
#[derive(Debug)]
pub struct Watch {
    function: Arc<Function>,
    over: bool,
}

impl Watch {
    /// The function whose queue it is.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Whether the watch is over, as nobody waits. The next request to wait then begins another.
    pub fn over(&mut self) -> bool {
        self.over = self.over || self.function.gate.queue.rest();
        self.over
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.over {
            self.function.gate.queue.forsake();
        }
    }
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub struct Ticket {
    function: Arc<Function>,
    place: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl Ticket {
    /// Waits for a pod, or for word that there will be none. Cancel-safe; without end while neither comes.
    pub async fn granted(&mut self) -> Outcome {
        // The sender is dropped unsent only with the gate itself, and the ticket keeps that alive.
        (&mut self.outcome).await.unwrap_or(Err(Fault::Deleted))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let gate = &self.function.gate;
        if gate.queue.leave(self.place) {
            gate.changed.notify_one();
        }
        self.function.totals.unhold(clock::now());
        // A grant that was sent and not taken goes back with the receiver, and from there to the next in the queue.
        self.outcome.close();
        if let Ok(Ok(grant)) = self.outcome.try_recv() {
            drop(grant);
            self.function.release();
        }
    }
}

impl Gate {
    /// Requests that wait now.
    pub fn held(&self) -> usize {
        self.queue.length()
    }

    /// For how long the first in the queue has waited. One that came back unsent began anew.
    pub fn oldest(&self) -> Option<Duration> {
        self.queue.first(|waiter| waiter.since.elapsed())
    }

    /// Answers everybody who waits with a fault.
    pub fn fail(&self, fault: &Fault) {
        for waiter in self.queue.clear() {
            // One that left meanwhile needs no answer.
            let _ = waiter.answer.send(Err(fault.clone()));
        }
        self.changed.notify_one();
    }

    /// The function is gone: answers everybody who waits, and everybody who comes.
    pub fn close(&self) {
        self.queue.close();
        self.fail(&Fault::Deleted);
    }
}

impl Function {
    /// A pod that `fits` at once, if one is ready and nobody waits.
    pub fn pass(&self, fits: impl Fn(&crate::pods::Pod) -> bool) -> Option<Grant> {
        if self.gate.held() > 0 {
            return None;
        }
        crate::pods::fewest(&self.serving.load(), fits).map(Grant::at_once)
    }

    /// For a newcomer: a pod at once, if one is ready and nobody waits. Refused where each of them has so many requests to
    /// answer that a further one had better not wait there: more than its part of what all replicas that the function may have
    /// would get by their goal, and of `queue.maxRequests` beyond. Only pods that are ready have a part, as only they answer.
    /// Responses that have begun do not count, however long they go on.
    pub fn pass_newcomer(&self) -> Option<Result<Grant, Fault>> {
        if self.gate.held() > 0 {
            return None;
        }
        let (serving, spec) = (self.serving.load(), self.spec.load());
        let part = |pods: usize| {
            let pods = pods as u64;
            let most = u64::try_from(spec.scaling.most()).unwrap_or(0).max(pods);
            let all = most.saturating_mul(spec.share().into()).saturating_add(spec.queue as u64);
            all.div_ceil(pods)
        };
        let first = crate::pods::fewest(&serving, |_| true)?;
        // Were all ready, each would have the least: below that nobody need be counted.
        if first.pod().pulse.awaited() < part(serving.len()) {
            return Some(Ok(Grant::at_once(first)));
        }
        drop(first);
        let ready = serving.iter().filter(|pod| pod.is_ready() && !pod.slots.read().drained).count();
        if ready == 0 {
            return None;
        }
        let part = part(ready);
        let found = crate::pods::fewest(&serving, |pod| pod.pulse.awaited() < part);
        Some(found.map(Grant::at_once).ok_or(Fault::Overloaded))
    }

    /// Enters by passing or by waiting, behind all who `arrived` earlier: streams of HTTP/2 get here in whatever order their
    /// tasks run, and a thread may be interrupted on the way. One that comes back `again` is not counted against the queue's
    /// limit.
    pub fn enter(self: &Arc<Self>, arrived: Instant, again: bool) -> Entry {
        let (answer, outcome) = oneshot::channel();
        let waiter = Waiter { answer, since: Instant::now() };
        let look = || crate::pods::fewest(&self.serving.load(), |_| true);
        let most = if again { usize::MAX } else { self.spec.load().queue };
        let arrived = u64::try_from(clock::at(arrived).as_nanos()).unwrap_or(u64::MAX);
        let (place, wake) = match self.gate.queue.enter(arrived, most, look, waiter) {
            Entered::Pass(taken) => return Entry::Pass(Grant::at_once(taken)),
            Entered::Closed => return Entry::Refused(Fault::Deleted),
            Entered::Full => return Entry::Refused(Fault::QueueFull(Share::Function)),
            Entered::Wait { place, wake } => (place, wake),
        };
        self.pardon();
        self.totals.hold(clock::now());
        let ticket = Ticket { function: Arc::clone(self), place, outcome };
        let wake = wake.then(|| Watch { function: Arc::clone(self), over: false });
        self.release();
        self.gate.changed.notify_one();
        Entry::Wait { ticket, wake }
    }

    /// Hands pods to the waiters in order, as far as the pace allows. Called after anything that may let one go: a pod
    /// proved ready or given back, a response begun, an arrival.
    ///
    /// Of a queue each ready pod has so many requests that it has not answered yet, see [`Pace`]. Those that found nobody
    /// waiting do not count, and newcomers go behind the queue until it is empty.
    pub fn release(self: &Arc<Self>) {
        // Looked at under the queue's lock, by the first who needs it.
        let mut seen = None;
        let look = || {
            let (serving, pace) = seen.get_or_insert_with(|| {
                let (serving, spec) = (self.serving.load(), self.spec.load());
                let ready = serving.iter().filter(|pod| pod.is_ready()).count();
                (serving, Pace::of(&spec, ready))
            });
            let fits = |pod: &crate::pods::Pod| pod.soft.load(Ordering::Acquire) < pace.most;
            Some(Grant::from_queue(self, crate::pods::fewest(serving, fits)?, pace.lasts))
        };
        // A waiter that left at this moment hands its grant back.
        let give = |waiter: Waiter, grant| match waiter.answer.send(Ok(grant)) {
            Err(Ok(grant)) => Err(grant),
            _ => Ok(()),
        };
        let (emptied, unclaimed) = self.gate.queue.serve(look, give);
        if emptied {
            self.gate.changed.notify_one();
        }
        drop(unclaimed);
    }
}
