//! How fast a function's pods answer when they have as much to do as they are to have: what a caller is told to wait goes by
//! it. A second in which they had less says how much was asked of them, not how much they can do.
//!
//! Looked at once a second ([`crate::pods::survey`]); nothing is counted for it on the way of a request.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The rate of one function.
#[derive(Debug, Default)]
pub struct Drain {
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Responses begun at the last look, if the pods were busy then.
    busy: Option<(Instant, u64)>,
    /// Responses a second.
    rate: Option<f64>,
}

impl State {
    /// A look at busy pods counts from the one before, if they were busy then too. Each counts as much as all before it.
    fn look(self, now: Instant, heads: u64, busy: bool) -> Self {
        // Without the responses of a pod that has gone there seem to be fewer.
        let since = self.busy.filter(|(_, before)| busy && *before <= heads);
        let passed = since.map_or(0.0, |(at, _)| now.saturating_duration_since(at).as_secs_f64());
        let seen = since.filter(|_| passed > 0.0).map(|(_, before)| (heads - before) as f64 / passed);
        let rate = match (self.rate, seen) {
            (Some(rate), Some(seen)) => Some((rate + seen) / 2.0),
            (before, seen) => seen.or(before),
        };
        Self { busy: busy.then_some((now, heads)), rate }
    }
}

impl Drain {
    /// The pods have begun so many responses so far; `busy`: they have as much to do as they are to have.
    pub fn look(&self, now: Instant, heads: u64, busy: bool) {
        let mut state = self.lock();
        *state = state.look(now, heads, busy);
    }

    /// Responses a second, as of the last seconds in which the pods were busy. `None` if they never were.
    pub fn rate(&self) -> Option<f64> {
        self.lock().rate
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn only_busy_seconds_count() {
        let began = Instant::now();
        let rates = |looks: &[(u64, u64, bool)]| {
            let drain = Drain::default();
            let rates = looks.iter().map(|(ms, heads, busy)| {
                drain.look(began + Duration::from_millis(*ms), *heads, *busy);
                drain.rate()
            });
            rates.collect::<Vec<_>>()
        };
        // Idle, and then busy at one end only.
        assert_eq!(rates(&[(0, 0, false), (1000, 5, false), (2000, 9, true), (3000, 14, false)]), [None; 4]);
        let looks = [(0, 100, true), (1000, 300, true), (2000, 400, true), (4000, 600, true), (5000, 600, true)];
        assert_eq!(rates(&looks), [None, Some(200.0), Some(150.0), Some(125.0), Some(62.5)]);
        // It is remembered, and a pod that goes takes its responses with it.
        let looks =
            [(0, 0, true), (1000, 80, true), (2000, 81, false), (9000, 81, true), (9500, 20, true), (10_000, 40, true)];
        let seen = rates(&looks);
        assert_eq!(seen, [None, Some(80.0), Some(80.0), Some(80.0), Some(80.0), Some(60.0)]);
    }

    #[tokio::test]
    async fn two_looks_at_once_say_nothing() {
        let (drain, now) = (Drain::default(), Instant::now());
        drain.look(now, 0, true);
        drain.look(now, 100, true);
        assert_eq!(drain.rate(), None);
    }
}
