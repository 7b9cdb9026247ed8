//! One pod: its slots, whether it is proved ready, its connections, and when what was seen of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use crds::function::Protocol;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

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
    /// It had an IP.
    pub address: Option<Instant>,
    /// The probe passed, for the first time since the container last started.
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
    /// Asks the probe to look again.
    pub doubt: Notify,
    /// Cancelled when the pod is being deleted or has ended.
    pub leaving: CancellationToken,
    ready: AtomicBool,
    pool: ArcSwapOption<Pool>,
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
            doubt: Notify::new(),
            leaving: CancellationToken::new(),
            ready: AtomicBool::new(false),
            pool: ArcSwapOption::empty(),
            seen: Mutex::default(),
        })
    }

    /// Whether the probe has passed and no request has found the contrary since.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.leaving.is_cancelled()
    }

    /// The probe passed.
    pub fn prove_ready(&self, now: Instant) {
        self.note(|seen| seen.ready = Some(now));
        self.ready.store(true, Ordering::Release);
    }

    /// A request could not connect: not ready until the probe passes again.
    pub fn cast_doubt(&self) {
        if self.ready.swap(false, Ordering::AcqRel) {
            self.doubt.notify_one();
        }
    }

    /// Whether the probe has ever passed.
    pub fn was_ready(&self) -> bool {
        self.seen().ready.is_some()
    }

    /// Connections to the pod, once it has an address.
    pub fn pool(&self) -> Option<Arc<Pool>> {
        self.pool.load_full()
    }

    /// Takes note of where the pod listens. A changed address (a new sandbox under the same UID) is a pod that is not
    /// ready, with no connection left. True if it is new.
    pub fn locate(&self, target: Target, now: Instant) -> bool {
        if self.pool.load().as_ref().is_some_and(|pool| pool.target().address == target.address) {
            return false;
        }
        self.ready.store(false, Ordering::Release);
        self.note(|seen| {
            seen.address = Some(now);
            seen.ready = None;
        });
        if let Some(old) = self.pool.swap(Some(Arc::new(Pool::new(target)))) {
            old.close();
        }
        true
    }

    /// The pod takes nothing new from now on: it is being deleted, has ended, or another pod has its IP.
    pub fn leave(&self) {
        self.leaving.cancel();
        self.ready.store(false, Ordering::Release);
        if let Some(pool) = self.pool.load().as_ref() {
            pool.close();
        }
    }

    /// When what was seen.
    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what was seen.
    pub fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
impl Pod {
    /// A pod of function `f-uid`, without address, not ready.
    pub fn test(uid: &str, revision: &str) -> Arc<Self> {
        Self::new(uid, uid, "f-uid", revision, false)
    }
}
