//! The gate of one function: requests pass at once while a pod is ready and nobody waits; else they wait in order.
//!
//! A pod that becomes free is handed to the first waiter, by whoever noticed it ([`Function::release`]). No wake-up can be
//! lost: a request looks for a pod and joins the queue under one lock, and a pod is announced under the same lock.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::Grant;
use crate::clock;
use crate::function::Function;
use crate::path::fault::{Fault, Share};

type Outcome = Result<Grant, Fault>;

/// The queue of one function.
#[derive(Debug, Default)]
pub struct Gate {
    queue: Mutex<Queue>,
    length: AtomicUsize,
    /// Rung whenever the waker should look again: an arrival, the last departure, a change of the workload.
    pub changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, oneshot::Sender<Outcome>>,
    next: u64,
    waking: bool,
    closed: Option<Fault>,
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
        /// Whether the caller must start the function's waker: nobody has.
        wake: bool,
    },
    /// Not at all.
    Refused(Fault),
}

/// A place in the queue; given up when dropped.
#[derive(Debug)]
pub struct Ticket {
    function: Arc<Function>,
    order: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl Ticket {
    /// The place: a request that must wait again keeps it.
    pub fn order(&self) -> u64 {
        self.order
    }

    /// Waits for a pod, or for word that there will be none. Cancel-safe; without end while neither comes.
    pub async fn granted(&mut self) -> Outcome {
        // The sender is dropped unsent only with the gate itself, and the ticket keeps that alive.
        (&mut self.outcome).await.unwrap_or(Err(Fault::Deleted))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let gate = &self.function.gate;
        let mut queue = gate.lock();
        let waited = queue.waiting.remove(&self.order).is_some();
        gate.length.store(queue.waiting.len(), Ordering::Release);
        if waited && queue.waiting.is_empty() {
            gate.changed.notify_one();
        }
        drop(queue);
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
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code under this lock can panic half-way through a change.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests that wait now.
    pub fn held(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// For the waker: whether it may end, as nobody waits. The next request to wait then starts another.
    pub fn rest(&self) -> bool {
        let mut queue = self.lock();
        let idle = queue.waiting.is_empty();
        if idle {
            queue.waking = false;
        }
        idle
    }

    /// Answers everybody who waits with a fault.
    pub fn fail(&self, fault: &Fault) {
        let mut queue = self.lock();
        let waiting = std::mem::take(&mut queue.waiting);
        self.length.store(0, Ordering::Release);
        drop(queue);
        for (_, waiter) in waiting {
            // One that left meanwhile needs no answer.
            let _ = waiter.send(Err(fault.clone()));
        }
        self.changed.notify_one();
    }

    /// The function is gone: answers everybody who waits, and everybody who comes.
    pub fn close(&self) {
        self.lock().closed = Some(Fault::Deleted);
        self.fail(&Fault::Deleted);
    }
}

impl Function {
    /// A pod at once, if one is ready and nobody waits.
    pub fn pass(&self) -> Option<Grant> {
        if self.gate.held() > 0 {
            return None;
        }
        crate::pods::fewest(&self.serving.load(), |_| true).map(Grant::at_once)
    }

    /// Enters by passing or by waiting. `order` is the place of a request that waited before and comes back unsent; it is
    /// not counted against the queue's limit again.
    pub fn enter(self: &Arc<Self>, order: Option<u64>) -> Entry {
        let mut queue = self.gate.lock();
        if let Some(fault) = &queue.closed {
            return Entry::Refused(fault.clone());
        }
        if queue.waiting.is_empty()
            && let Some(taken) = crate::pods::fewest(&self.serving.load(), |_| true)
        {
            return Entry::Pass(Grant::at_once(taken));
        }
        if order.is_none() && queue.waiting.len() >= self.spec.load().queue {
            return Entry::Refused(Fault::QueueFull(Share::Function));
        }
        let order = order.unwrap_or_else(|| {
            queue.next += 1;
            queue.next
        });
        let (sender, outcome) = oneshot::channel();
        queue.waiting.insert(order, sender);
        self.gate.length.store(queue.waiting.len(), Ordering::Release);
        let wake = !std::mem::replace(&mut queue.waking, true);
        drop(queue);
        self.totals.hold(clock::now());
        let ticket = Ticket { function: Arc::clone(self), order, outcome };
        self.release();
        self.gate.changed.notify_one();
        Entry::Wait { ticket, wake }
    }

    /// Hands pods to the waiters in order, as far as the pace allows. Called after anything that may let one go: a pod
    /// proved ready or given back, a response begun, an arrival.
    ///
    /// The pace: while more replicas are to come, each ready pod gets at most the goal's share of requests that have not
    /// been answered yet, so that the first pod up does not get the whole queue. At `maxReplicas`, and at the number that is set by hand, there is nothing to
    /// wait for, and the queue is let go as a whole (design decision 7).
    pub fn release(self: &Arc<Self>) {
        if self.gate.held() == 0 {
            return;
        }
        let mut unclaimed = None;
        let mut queue = self.gate.lock();
        let serving = self.serving.load();
        let spec = self.spec.load();
        let ready = serving.iter().filter(|pod| pod.is_ready()).count();
        let paced = i32::try_from(ready).unwrap_or(i32::MAX) < spec.scaling.most();
        let share = spec.share();
        while let Some(first) = queue.waiting.first_entry() {
            let grant = match unclaimed.take() {
                Some(grant) => grant,
                None => {
                    let fits = |pod: &crate::pods::Pod| !paced || pod.soft.load(Ordering::Acquire) < share;
                    let Some(taken) = crate::pods::fewest(&serving, fits) else { break };
                    Grant::from_queue(self, taken)
                }
            };
            // A waiter that left at this moment leaves the grant to the next one.
            unclaimed = first.remove().send(Ok(grant)).err().and_then(Result::ok);
        }
        self.gate.length.store(queue.waiting.len(), Ordering::Release);
        if queue.waiting.is_empty() {
            self.gate.changed.notify_one();
        }
        drop(queue);
        drop(unclaimed);
    }
}
