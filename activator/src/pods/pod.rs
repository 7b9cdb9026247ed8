//! One pod: its slots, whether it is proved ready, its connections, and when what was seen of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;
use crds::function::Protocol;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::outlier::Record;
use super::pulse::Pulse;
use super::slot::Slots;
use crate::pool::Pool;

/// Where a pod listens, and what it speaks there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Pod IP and container port.
    pub address: SocketAddr,
    /// Protocol.
    pub protocol: Protocol,
}

/// When this activator saw what of the pod, for the phases of a cold start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// It had a node.
    pub scheduled: Option<Instant>,
    /// It had the IP that it has.
    pub address: Option<Instant>,
    /// The probe passed there last.
    pub ready: Option<Instant>,
}

/// One pod, from its first sight to its deletion.
#[derive(Debug)]
pub struct Pod {
    /// UID of the pod.
    pub uid: Arc<str>,
    /// Name of the pod, for logs only: it is never told to a caller.
    pub name: Arc<str>,
    /// UID of its Function.
    pub function_uid: Arc<str>,
    /// Its revision.
    pub revision: Arc<str>,
    /// Slots: drained flag and in-flight count.
    pub slots: Slots,
    /// Released held requests whose response has not begun: see [`crate::hold`].
    pub soft: AtomicU32,
    /// What becomes of its requests.
    pub pulse: Pulse,
    /// Asks the probe to look again.
    pub doubt: Notify,
    /// Cancelled when the pod is being deleted or has ended.
    pub leaving: CancellationToken,
    ready: AtomicBool,
    /// Whether the probe has ever passed, wherever.
    proved: AtomicBool,
    /// It is left alone; not ready as long as that lasts.
    ejected: AtomicBool,
    /// It gave no sign of life when it was asked for one: that it can be connected to proves nothing.
    lifeless: AtomicBool,
    /// How often and until when. Locked within the lock of `seen` or alone.
    record: Mutex<Record>,
    pool: ArcSwapOption<Pool>,
    /// Locked by whoever changes `ready` for the better or `pool` at all: a pod is never ready at an address that it has
    /// lost. Read without the lock.
    seen: Mutex<Seen>,
}

impl Pod {
    /// A pod without an address; drained from the start if an order says so already.
    pub fn new(uid: &str, name: &str, function_uid: &str, revision: &str, drained: bool) -> Arc<Self> {
        Arc::new(Self {
            uid: uid.into(),
            name: name.into(),
            function_uid: function_uid.into(),
            revision: revision.into(),
            slots: Slots::new(drained),
            soft: AtomicU32::new(0),
            pulse: Pulse::default(),
            doubt: Notify::new(),
            leaving: CancellationToken::new(),
            ready: AtomicBool::new(false),
            proved: AtomicBool::new(false),
            ejected: AtomicBool::new(false),
            lifeless: AtomicBool::new(false),
            record: Mutex::default(),
            pool: ArcSwapOption::empty(),
            seen: Mutex::default(),
        })
    }

    /// Whether the probe has passed at the pod's address, and neither a request nor the index knows better since.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The probe passed at the address of `pool`. False, and without effect, if the pod has lost that address meanwhile,
    /// even if it has an equal one again, or takes nothing new any more.
    pub fn prove(&self, pool: &Arc<Pool>, now: Instant) -> bool {
        let mut seen = self.lock();
        let current = self.pool.load().as_ref().is_some_and(|own| Arc::ptr_eq(own, pool));
        if !current || self.leaving.is_cancelled() {
            return false;
        }
        seen.ready = Some(now);
        self.proved.store(true, Ordering::Release);
        self.lifeless.store(false, Ordering::Release);
        self.admit();
        true
    }

    /// It gave no sign of life. From now on it takes one to prove it ready.
    pub fn find_lifeless(&self) {
        self.lifeless.store(true, Ordering::Release);
    }

    /// Whether it gave no sign of life, and none since.
    pub fn is_lifeless(&self) -> bool {
        self.lifeless.load(Ordering::Acquire)
    }

    /// Under the lock of `seen`. One that was left alone has one failure to show that it had better be again.
    fn admit(&self) {
        if self.ejected.swap(false, Ordering::AcqRel) {
            self.pulse.on_trial();
        }
        self.ready.store(true, Ordering::Release);
    }

    /// Leaves the pod alone: not ready until the returned moment, and then not before the probe has passed. `None`, and
    /// without effect, if it is not ready.
    pub fn eject(&self, now: Instant) -> Option<Instant> {
        let _seen = self.lock();
        if !self.ready.swap(false, Ordering::AcqRel) {
            return None;
        }
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        *record = record.again(now);
        self.ejected.store(true, Ordering::Release);
        self.doubt.notify_one();
        record.until()
    }

    /// Ends that early: the probe asks now.
    pub fn pardon(&self) {
        if self.ejected.swap(false, Ordering::AcqRel) {
            self.doubt.notify_one();
        }
    }

    /// Whether it is left alone.
    pub fn is_ejected(&self) -> bool {
        self.ejected.load(Ordering::Acquire)
    }

    /// Until when it is left alone, if it is.
    pub fn ejected_until(&self) -> Option<Instant> {
        let record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        record.until().filter(|_| self.is_ejected())
    }

    /// A request could not connect: not ready until the probe passes again.
    pub fn cast_doubt(&self) {
        if self.ready.swap(false, Ordering::AcqRel) {
            self.doubt.notify_one();
        }
    }

    /// Whether the probe has ever passed, at this address or an earlier one.
    pub fn was_ready(&self) -> bool {
        self.proved.load(Ordering::Acquire)
    }

    /// Connections to the pod, while it has an address.
    pub fn pool(&self) -> Option<Arc<Pool>> {
        self.pool.load_full()
    }

    /// Takes note of where the pod listens. A changed address (a new sandbox under the same UID) is a pod that is not
    /// ready, with no connection left, and its probe looks there. Without effect on a pod that leaves.
    pub fn locate(&self, target: Target, now: Instant) {
        let mut seen = self.lock();
        let same = self.pool.load().as_ref().is_some_and(|pool| pool.target() == target);
        if same || self.leaving.is_cancelled() {
            return;
        }
        *seen = Seen { address: Some(now), ready: None, ..*seen };
        self.move_to(Some(target));
        // A running probe goes on with the new address.
        self.doubt.notify_one();
    }

    /// The pod has no address: it shows none, or a newer pod shows the same. Not ready, with no connection left, until it
    /// is located again.
    pub fn displace(&self) {
        let mut seen = self.lock();
        *seen = Seen { address: None, ready: None, ..*seen };
        self.move_to(None);
    }

    /// Under the lock of `seen`. Nobody who finds the pod ready finds a pool that is not open yet.
    fn move_to(&self, target: Option<Target>) {
        self.ready.store(false, Ordering::Release);
        self.ejected.store(false, Ordering::Release);
        self.lifeless.store(false, Ordering::Release);
        if let Some(old) = self.pool.swap(target.map(|target| Arc::new(Pool::new(target)))) {
            old.close();
        }
    }

    /// The pod takes nothing new for good: it is being deleted or has ended.
    pub fn leave(&self) {
        let _seen = self.lock();
        self.leaving.cancel();
        self.ready.store(false, Ordering::Release);
        if let Some(pool) = self.pool.load().as_ref() {
            pool.close();
        }
    }

    /// When what was seen.
    pub fn seen(&self) -> Seen {
        *self.lock()
    }

    /// Adds to what was seen.
    pub fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Pod {
    /// A pod of function `f-uid`, without address, not ready.
    pub fn test(uid: &str, revision: &str) -> Arc<Self> {
        Self::new(uid, uid, "f-uid", revision, false)
    }

    /// The probe passed, wherever: for tests that need no address.
    pub fn prove_ready(&self, now: Instant) {
        self.note(|seen| seen.ready = Some(now));
        self.admit();
    }
}
