//! When the last wake of a function was sent and answered, and how long starts take: boundaries between the phases of a cold
//! start, and what a caller is told to wait for one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Of one wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WakeTimes {
    /// The patch was sent.
    pub sent: Instant,
    /// The API server took it.
    pub answered: Option<Instant>,
}

/// The last wake, and the starts so far.
#[derive(Debug, Default)]
pub struct WakeLog {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last: Option<WakeTimes>,
    /// The last wake has made a pod ready.
    over: bool,
    usual: Option<Duration>,
}

/// What a start usually takes, after one that took so long: the longest of late, as somebody told too little comes in vain.
/// What is longer counts at once, what is shorter by a quarter.
fn usual(before: Option<Duration>, took: Duration) -> Duration {
    before.map_or(took, |before| if took >= before { took } else { before - (before - took) / 4 })
}

impl WakeLog {
    /// A wake was sent. A raise that follows a wake within the same start does not count: the first one started the pod.
    pub fn sent(&self, at: Instant) {
        let mut state = self.lock();
        state.last = Some(WakeTimes { sent: at, answered: None });
        state.over = false;
    }

    /// It was answered.
    pub fn answered(&self, at: Instant) {
        if let Some(last) = &mut self.lock().last {
            last.answered.get_or_insert(at);
        }
    }

    /// A look at when the function's pods became ready. The first that did since the last wake was sent is its start.
    pub fn look(&self, ready: impl Iterator<Item = Instant>) {
        let mut state = self.lock();
        let Some(WakeTimes { sent, .. }) = state.last.filter(|_| !state.over) else { return };
        if let Some(first) = ready.filter(|ready| *ready >= sent).min() {
            state.usual = Some(usual(state.usual, first - sent));
            state.over = true;
        }
    }

    /// How long a start usually takes, if there was one, and for how long the present one has been under way.
    pub fn outlook(&self, now: Instant) -> (Option<Duration>, Duration) {
        let state = self.lock();
        let sent = state.last.filter(|_| !state.over).map(|last| last.sent);
        (state.usual, sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent)))
    }

    /// The last wake, if there was one.
    pub fn read(&self) -> Option<WakeTimes> {
        self.lock().last
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_start_is_from_the_wake_to_the_first_pod() {
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        let log = WakeLog::default();
        log.look([at(0)].into_iter());
        assert_eq!(log.outlook(at(0)), (None, Duration::ZERO));
        // Each: the wake, pods ready as of a look, and what is known then, a second after the wake.
        for (sent, ready, wanted) in [
            (1000, vec![], (None, 1000)),
            // One was ready before; the first that is not is the start.
            (2000, vec![500, 2900, 2400], (Some(400), 0)),
            (10_000, vec![500, 2900, 2400], (Some(400), 1000)),
            (20_000, vec![22_000], (Some(2000), 0)),
            (30_000, vec![30_400], (Some(1600), 0)),
            (40_000, vec![40_400], (Some(1300), 0)),
            (50_000, vec![51_500], (Some(1500), 0)),
        ] {
            log.sent(at(sent));
            log.look(ready.iter().map(|ms| at(*ms)));
            let (usual, underway) = wanted;
            let wanted = (usual.map(Duration::from_millis), Duration::from_millis(underway));
            assert_eq!(log.outlook(at(sent + 1000)), wanted, "woken at {sent} ms");
        }
        log.look([at(59_000)].into_iter());
        assert_eq!(log.outlook(at(60_000)).0, Some(Duration::from_millis(1500)), "the second pod of a start is none");
    }
}
