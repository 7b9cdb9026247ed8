//! What the load of one function was: its averages over the two windows.

use std::time::{Duration, Instant};

use crate::{
    settings::{Averaging, Metric, Windows},
    weighted::{self, Decay},
    window::{Sum, Window},
};

/// An average never divides by less: Knative's own bucket. Ten requests in the first ten milliseconds are not a thousand
/// a second.
pub const SHORTEST_SPAN: Duration = Duration::from_secs(1);
/// Averages are rounded to so many parts of one, as Knative's are cut, so that the last bits of a sum never cost a replica.
const PRECISION: f64 = 1e6;

/// What one activator's totals grew by between two of its reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta {
    /// Requests in flight over time, in request-milliseconds.
    pub in_flight_ms: u64,
    /// Requests held over time, in request-milliseconds.
    pub held_ms: u64,
    /// Requests that arrived.
    pub requests: u64,
}

impl Delta {
    #[allow(clippy::cast_precision_loss)]
    fn sum(&self) -> Sum {
        let request_ms = self.in_flight_ms.saturating_add(self.held_ms);
        Sum { request_seconds: request_ms as f64 / 1000.0, requests: self.requests as f64 }
    }
}

/// What one activator last said of the present, in a report whose delta is recorded up to the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    /// When.
    pub at: Instant,
    /// Requests in flight then.
    pub in_flight: u32,
    /// Requests held then.
    pub held: u32,
}

/// The averages of both windows, in the metric's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Averages {
    /// Over the stable window.
    pub stable: f64,
    /// Over the panic window.
    pub panic: f64,
}

/// The load of one function, as told by all its activators.
///
/// Memory: about 3.5 KiB while there was load within the stable window, whatever its length and the rate of reports;
/// nothing is allocated before the first load and nothing is kept once a stable window passed without any. Resolution: see
/// [`BUCKETS`](crate::BUCKETS).
#[derive(Clone, Debug)]
pub struct Load {
    windows: Windows,
    /// First and last time of which anything is known, without a gap of a whole window between.
    known: Option<(Instant, Instant)>,
    history: Option<Box<History>>,
}

#[derive(Clone, Debug)]
struct History {
    stable: Window,
    panic: Window,
    stable_decay: Decay,
    panic_decay: Decay,
    /// End of the last load that was not zero.
    busy: Instant,
}

impl History {
    fn new(first: Instant, windows: Windows) -> Self {
        Self {
            stable: Window::new(first, windows.stable),
            panic: Window::new(first, windows.panic),
            stable_decay: Decay::new(first, windows.stable),
            panic_decay: Decay::new(first, windows.panic),
            busy: first,
        }
    }

    fn add(&mut self, from: Instant, to: Instant, sum: Sum) {
        self.stable.add(from, to, sum);
        self.panic.add(from, to, sum);
        self.stable_decay.add(from, to, sum);
        self.panic_decay.add(from, to, sum);
        self.busy = self.busy.max(to);
    }
}

impl Load {
    /// Of which nothing is known yet.
    pub fn new(windows: Windows) -> Self {
        Self { windows, known: None, history: None }
    }

    /// Takes in one delta, spread evenly over [from, to], the time between the two reports of its sender.
    ///
    /// The intervals of several activators may overlap and come in any order. What ended a stable window ago or longer is
    /// ignored. An end in the future is taken for `now`: clocks are compared, not trusted. A delta of nothing is a known
    /// zero, and allocates nothing.
    pub fn record(&mut self, now: Instant, from: Instant, to: Instant, delta: Delta) {
        let to = to.min(now);
        let from = from.min(to);
        if now.saturating_duration_since(to) >= self.windows.stable {
            return;
        }
        self.know(from, to);
        let sum = delta.sum();
        if !sum.is_zero() {
            let windows = self.windows;
            self.history.get_or_insert_with(|| Box::new(History::new(from, windows))).add(from, to, sum);
        }
    }

    /// Somebody is heard who would have told: what is not recorded up to `now` is a zero, not a gap.
    ///
    /// Knative's pods report their zeros; ours are silent, and their heartbeat vouches for it.
    pub fn vouch(&mut self, now: Instant) {
        self.know(now, now);
        let busy = self.history.as_ref().map(|history| history.busy);
        if busy.is_some_and(|busy| now.saturating_duration_since(busy) >= self.windows.stable) {
            self.history = None;
        }
    }

    /// Changes the windows. What is known is kept, up to the shorter of the old and the new window.
    pub fn resize(&mut self, now: Instant, windows: Windows) {
        if windows == self.windows {
            return;
        }
        let oldest = now.checked_sub(self.windows.stable);
        self.known = self.known.map(|(first, last)| (oldest.map_or(first, |oldest| first.max(oldest)).min(last), last));
        self.windows = windows;
        self.history = self.history.take().map(|old| {
            let mut new = History::new(old.busy, windows);
            for (from, to, sum) in old.stable.parts() {
                // The newest bucket may reach beyond what has happened.
                new.add(from.min(old.busy), to.min(old.busy), sum);
            }
            Box::new(new)
        });
    }

    /// The averages over exactly [now − window, now], of everything recorded and of what each activator that is heard has
    /// in flight and held since its last report.
    ///
    /// Linear: the sum, divided by the time of which anything is known within the window: from the first write on, at
    /// least a second. After a gap in which nobody was heard it divides by what remains valid, and after a gap of a whole
    /// window the average is 0. Weighted: see [`crate::weighted`].
    pub fn averages(&self, now: Instant, metric: Metric, averaging: Averaging, said: &[Said]) -> Averages {
        let of = |window: Duration, pick: fn(&History) -> (&Window, &Decay)| {
            let history = self.history.as_deref().map(pick);
            let sum = match averaging {
                Averaging::Linear => self.linear(now, window, history.map(|(window, _)| window), said),
                Averaging::Weighted => self.weighted(now, window, history.map(|(_, decay)| decay), said),
            };
            let value = match metric {
                Metric::Concurrency => sum.request_seconds,
                Metric::RequestsPerSecond => sum.requests,
            };
            (value * PRECISION).round() / PRECISION
        };
        Averages {
            stable: of(self.windows.stable, |history| (&history.stable, &history.stable_decay)),
            panic: of(self.windows.panic, |history| (&history.panic, &history.panic_decay)),
        }
    }

    /// Forgets what the load was, and gives the memory back; what was known before counts as zero.
    pub fn forget(&mut self) {
        self.history = None;
    }

    /// How much memory it has allocated, in bytes.
    pub fn allocated(&self) -> usize {
        self.history.as_ref().map_or(0, |_| size_of::<History>())
    }

    fn linear(&self, now: Instant, length: Duration, window: Option<&Window>, said: &[Said]) -> Sum {
        let Some((first, last)) = self.known else { return Sum::default() };
        let edge = now.checked_sub(length).unwrap_or(first);
        let span = last.saturating_duration_since(first.max(edge));
        if now.saturating_duration_since(last) >= length {
            return Sum::default();
        }
        let mut sum = window.map_or_else(Sum::default, |window| window.since(edge));
        for said in said {
            sum.request_seconds += said.level() * now.saturating_duration_since(said.at.max(edge)).as_secs_f64();
        }
        sum.times(1.0 / span.max(SHORTEST_SPAN).as_secs_f64())
    }

    fn weighted(&self, now: Instant, length: Duration, decay: Option<&Decay>, said: &[Said]) -> Sum {
        let Some((_, last)) = self.known else { return Sum::default() };
        if now.saturating_duration_since(last) >= length {
            return Sum::default();
        }
        let mut sum = decay.map_or_else(Sum::default, |decay| decay.at(now));
        for said in said {
            let age = now.saturating_duration_since(said.at);
            sum.request_seconds += said.level() * weighted::weight(length, age.as_secs_f64());
        }
        sum
    }

    fn know(&mut self, from: Instant, to: Instant) {
        self.known = Some(match self.known {
            Some((first, last)) if from.saturating_duration_since(last) < self.windows.stable => {
                (first.min(from), last.max(to))
            }
            _ => {
                // The gap was longer than the window: nothing of what came before it is valid.
                self.history = None;
                (from, to)
            }
        });
    }
}

impl Said {
    fn level(&self) -> f64 {
        f64::from(self.in_flight) + f64::from(self.held)
    }
}

#[cfg(test)]
mod tests;
