//! How long a new revision has been starting, by our own clock: a Deployment that was created at 0 already says that it
//! progressed, and never says that it does not.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

#[derive(Debug)]
struct Started {
    revision: String,
    since: Instant,
    ready: usize,
}

/// Per Function (UID): since when its new revision has been starting.
#[derive(Debug, Default)]
pub struct Clock {
    started: Mutex<HashMap<String, Started>>,
}

impl Clock {
    /// How long this revision has been starting without another of its pods becoming ready. Starts anew with another
    /// revision, and stands at zero while it is not known how many are ready.
    pub fn waited(&self, function_uid: &str, revision: &str, ready: Option<usize>, now: Instant) -> Duration {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let anew = |ready| Started { revision: revision.to_owned(), since: now, ready };
        let entry = started.entry(function_uid.to_owned()).or_insert_with(|| anew(ready.unwrap_or(0)));
        if entry.revision != revision || ready.is_none_or(|ready| ready > entry.ready) {
            *entry = anew(ready.unwrap_or(0));
        }
        now.saturating_duration_since(entry.since)
    }

    /// Forgets all: another process leads now.
    pub fn clear(&self) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// No revision is starting.
    pub fn stop(&self, function_uid: &str) {
        self.started.lock().unwrap_or_else(PoisonError::into_inner).remove(function_uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn progress_and_ignorance_start_it_anew() {
        let clock = Clock::default();
        let second = Duration::from_secs(1);
        let waited = |revision: &str, ready| clock.waited("uid", revision, ready, Instant::now());
        assert_eq!(waited("a", Some(0)), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("a", Some(0)), second);
        assert_eq!(waited("a", Some(1)), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("a", Some(1)), second);
        assert_eq!(waited("a", None), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("b", Some(0)), Duration::ZERO);
        clock.stop("uid");
        assert_eq!(waited("b", Some(0)), Duration::ZERO);
    }
}
