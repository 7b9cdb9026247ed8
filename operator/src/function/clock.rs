//! How long a new revision has been starting, by our own clock: a Deployment that was created at 0 already says that it
//! progressed, and never says that it does not.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::failure::Terms;

#[derive(Debug)]
struct Started {
    revision: String,
    terms: Terms,
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
    /// revision, and under other terms, and stands at zero while it is not known how many are ready.
    pub fn waited(
        &self,
        function_uid: &str,
        revision: &str,
        terms: Terms,
        ready: Option<usize>,
        now: Instant,
    ) -> Duration {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |one: &Started| one.revision == revision && one.terms == terms;
        if let Some(entry) = started.get(function_uid).filter(|entry| same(entry))
            && ready.is_some_and(|ready| ready <= entry.ready)
        {
            return now.saturating_duration_since(entry.since);
        }
        let anew = Started { revision: revision.to_owned(), terms, since: now, ready: ready.unwrap_or(0) };
        started.insert(function_uid.to_owned(), anew);
        Duration::ZERO
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
        let now = Instant::now;
        let waited = |revision: &str, ready| clock.waited("uid", revision, Terms::default(), ready, now());
        assert_eq!(waited("a", Some(0)), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("a", Some(0)), second);
        assert_eq!(waited("a", Some(1)), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("a", Some(1)), second);
        assert_eq!(waited("a", None), Duration::ZERO);
        tokio::time::advance(second).await;
        assert_eq!(waited("b", Some(0)), Duration::ZERO);
        tokio::time::advance(second).await;
        let mut spec = crate::testing::fixtures::valid(serde_json::json!({})).function.spec.clone();
        spec.readiness.path = "/ok".to_owned();
        assert_eq!(clock.waited("uid", "b", Terms::of(&spec), Some(0), now()), Duration::ZERO);
        clock.stop("uid");
        assert_eq!(waited("b", Some(0)), Duration::ZERO);
    }
}
