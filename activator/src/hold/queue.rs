//! The queue proper: who waits, in order, under one lock.
//!
//! No wake-up can be lost: a request looks for a pod and joins under the lock ([`Queue::enter`]), and whoever announces a
//! pod goes through the same lock afterwards ([`Queue::serve`]), even when nobody seems to wait. So either the request saw
//! the pod or the announcer sees the request. Reading the length instead would need both to be ordered against each other:
//! each could read the other's old value.
//!
//! A place is the moment of an arrival. Whoever was let in and comes back has it again, and goes before all who came later.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(loom)]
use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};
#[cfg(not(loom))]
use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicUsize, Ordering},
};

/// Those who wait, each with a `W` through which it is given what it waits for.
#[derive(Debug)]
pub struct Queue<W> {
    state: Mutex<State<W>>,
    /// For [`Queue::length`] only.
    length: AtomicUsize,
}

#[derive(Debug)]
struct State<W> {
    waiting: BTreeMap<u64, W>,
    /// Places of those who have not left: of one that got something too, until it says so.
    taken: BTreeSet<u64>,
    waking: bool,
    closed: bool,
}

/// How somebody enters.
#[derive(Debug)]
pub enum Entered<G> {
    /// There was something at once.
    Pass(G),
    /// It waits.
    Wait {
        /// Its place.
        place: u64,
        /// Nobody looks after those who wait: it falls to this one to see to it, until [`Queue::rest`] or
        /// [`Queue::forsake`].
        wake: bool,
    },
    /// As many wait as may.
    Full,
    /// Nobody is let in any more.
    Closed,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        let state = State { waiting: BTreeMap::new(), taken: BTreeSet::new(), waking: false, closed: false };
        Self { state: Mutex::new(state), length: AtomicUsize::new(0) }
    }
}

impl<W> Queue<W> {
    fn lock(&self) -> MutexGuard<'_, State<W>> {
        // No code under this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn unlock(&self, state: MutexGuard<'_, State<W>>) {
        self.length.store(state.waiting.len(), Ordering::Release);
        drop(state);
    }

    /// How many waited a moment ago.
    pub fn length(&self) -> usize {
        self.length.load(Ordering::Acquire)
    }

    /// What `look` makes of the first who waits.
    #[cfg(not(loom))]
    pub fn first<R>(&self, look: impl FnOnce(&W) -> R) -> Option<R> {
        self.lock().waiting.first_key_value().map(|(_, waiter)| look(waiter))
    }

    /// Enters: at once if nobody waits and `look` finds something, else by waiting with `waiter`, behind all who `arrived`
    /// earlier, unless `most` wait already.
    pub fn enter<G>(&self, arrived: u64, most: usize, look: impl FnOnce() -> Option<G>, waiter: W) -> Entered<G> {
        let mut state = self.lock();
        if state.closed {
            return Entered::Closed;
        }
        if state.waiting.is_empty()
            && let Some(found) = look()
        {
            return Entered::Pass(found);
        }
        if state.waiting.len() >= most {
            return Entered::Full;
        }
        let mut place = arrived;
        // Two may have arrived at one moment; each has a place of its own, and leaves no other's.
        while !state.taken.insert(place) {
            place += 1;
        }
        state.waiting.insert(place, waiter);
        let wake = !std::mem::replace(&mut state.waking, true);
        self.unlock(state);
        Entered::Wait { place, wake }
    }

    /// Gives to those who wait, in order, as long as `look` finds something; `give` hands back what its waiter did not take,
    /// and the next one gets that. True if it was the last one who got something. What nobody took is returned, to be
    /// dropped without the lock.
    pub fn serve<G>(
        &self,
        mut look: impl FnMut() -> Option<G>,
        mut give: impl FnMut(W, G) -> Result<(), G>,
    ) -> (bool, Option<G>) {
        let mut state = self.lock();
        let before = state.waiting.len();
        let mut spare = None;
        while let Some(first) = state.waiting.first_entry() {
            let Some(found) = spare.take().or_else(&mut look) else { break };
            spare = give(first.remove(), found).err();
        }
        let emptied = before > 0 && state.waiting.is_empty();
        self.unlock(state);
        (emptied, spare)
    }

    /// One leaves, whether it got something or not. True if it waited, and was the last one who did.
    pub fn leave(&self, place: u64) -> bool {
        let mut state = self.lock();
        state.taken.remove(&place);
        let last = state.waiting.remove(&place).is_some() && state.waiting.is_empty();
        self.unlock(state);
        last
    }

    /// All leave.
    pub fn clear(&self) -> impl Iterator<Item = W> + use<W> {
        let mut state = self.lock();
        let waiting = std::mem::take(&mut state.waiting);
        self.unlock(state);
        waiting.into_values()
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// For the one that looks after those who wait: true if nobody does, and it may end. The next to wait is told to see to
    /// another.
    pub fn rest(&self) -> bool {
        let mut state = self.lock();
        let idle = state.waiting.is_empty();
        if idle {
            state.waking = false;
        }
        idle
    }

    /// For the same, when it ends though somebody waits.
    pub fn forsake(&self) {
        self.lock().waking = false;
    }
}

#[cfg(all(test, loom))]
#[path = "queue_model.rs"]
mod queue_model;
