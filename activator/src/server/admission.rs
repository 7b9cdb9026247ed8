//! What a connection takes of the limits, for as long as it is open: also when it has gone over to another protocol.

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::callers::Caller;
use super::peers::Admitted;

/// The part of one connection in all that are counted; given back when dropped.
#[derive(Debug)]
pub(super) struct Admission {
    _permit: OwnedSemaphorePermit,
    admitted: Admitted,
    _caller: Caller,
}

impl Admission {
    /// One of those of the process, one of its address, and one that is shown.
    pub(super) fn new(permit: OwnedSemaphorePermit, admitted: Admitted, caller: Caller) -> Self {
        Self { _permit: permit, admitted, _caller: caller }
    }

    /// See [`Admitted::flooded`].
    pub(super) fn flooded(&self, now: Instant) {
        self.admitted.flooded(now);
    }

    /// See [`Admitted::waits`].
    pub(super) fn waits(&self, now: Instant) -> Option<Instant> {
        self.admitted.waits(now)
    }
}

#[cfg(test)]
impl Admission {
    /// Of nobody else.
    pub(super) fn test(address: std::net::IpAddr) -> Self {
        let permit = std::sync::Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let callers = std::sync::Arc::<super::Callers>::default();
        Self::new(permit, super::peers::Peers::new(1).admit(address).unwrap(), callers.enter())
    }
}
