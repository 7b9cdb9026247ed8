//! Since when a difference that is not urgent waits.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::status::LAZY;

/// Per Function (UID): since when its status differs in nothing urgent.
#[derive(Debug, Default)]
pub struct Lazy {
    since: Mutex<HashMap<String, Instant>>,
}

impl Lazy {
    /// How much longer to wait; `None` = it is time. The wait begins with the first call.
    pub fn left(&self, function_uid: &str, now: Instant) -> Option<Duration> {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let first = *since.entry(function_uid.to_owned()).or_insert(now);
        LAZY.checked_sub(now.saturating_duration_since(first)).filter(|left| !left.is_zero())
    }

    /// There is no difference any more, or it is written.
    pub fn forget(&self, function_uid: &str) {
        self.since.lock().unwrap_or_else(PoisonError::into_inner).remove(function_uid);
    }
}
