//! When the last wake of a function was sent and answered: two boundaries between the phases of a cold start.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

/// Of one wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeTimes {
    /// The patch was sent.
    pub sent: Instant,
    /// The API server took it.
    pub answered: Option<Instant>,
}

/// The last wake.
#[derive(Debug, Default)]
pub struct WakeLog {
    last: Mutex<Option<WakeTimes>>,
}

impl WakeLog {
    /// A wake was sent. A raise that follows a wake within the same start does not count: the first one started the pod.
    pub fn sent(&self, at: Instant) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(WakeTimes { sent: at, answered: None });
    }

    /// It was answered.
    pub fn answered(&self, at: Instant) {
        if let Some(last) = self.last.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            last.answered.get_or_insert(at);
        }
    }

    /// The last wake, if there was one.
    pub fn read(&self) -> Option<WakeTimes> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
