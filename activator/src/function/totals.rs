//! What a function has received so far, as totals that only grow: the currency of the link to the leader.
//!
//! An integral of requests over time loses nothing between two reports, however short the request (design decision 4).

use std::sync::Mutex;
use std::time::Duration;

use link::HEARTBEAT;

/// Requests over time: the area under a count that changes in steps.
#[derive(Clone, Copy, Debug, Default)]
struct Area {
    level: u64,
    request_micros: u128,
    at: Duration,
}

impl Area {
    fn advance(&mut self, now: Duration) {
        // Two threads may take their time in one order and the lock in the other; time does not run backwards here.
        let step = now.saturating_sub(self.at);
        self.request_micros += u128::from(self.level) * step.as_micros();
        self.at = self.at.max(now);
    }

    fn step(&mut self, now: Duration, up: bool) {
        self.advance(now);
        self.level = if up { self.level + 1 } else { self.level.saturating_sub(1) };
    }
}

/// Totals of one function at one moment. Every field but the two levels only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Requests accepted for the function, held ones included.
    pub requests: u64,
    /// Integral of requests at pods, in request-milliseconds.
    pub in_flight_ms: u64,
    /// Integral of held requests, in request-milliseconds.
    pub held_ms: u64,
    /// Requests at pods now.
    pub in_flight: u64,
    /// Held requests now.
    pub held: u64,
    /// Since the last request ended; 0 while there is one, and since the process began if there never was one.
    pub idle: Duration,
}

/// The totals of one function. Times are given as the time since the process began.
#[derive(Debug, Default)]
pub struct Totals {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    requests: u64,
    ended: Duration,
    present: Area,
    held: Area,
    /// The most requests present since [`Self::peak_since`].
    peak: u64,
    peak_since: Duration,
    /// More requests present than this are news.
    told: u64,
}

impl Totals {
    fn with<R>(&self, change: impl FnOnce(&mut Inner) -> R) -> R {
        // A poisoned count is still a count: nothing in here can stop half-way.
        change(&mut self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// A request was accepted. True if the leader should hear of it now, and not at the next heartbeat: more requests are
    /// present than at any moment of the time that it was [told](Self::tell) of, by an eighth and at least one.
    pub fn begin(&self, now: Duration) -> bool {
        self.with(|t| {
            t.requests += 1;
            t.present.step(now, true);
            t.peak = t.peak.max(t.present.level);
            t.present.level > t.told
        })
    }

    /// Its response has ended, or it failed.
    pub fn end(&self, now: Duration) {
        self.with(|t| {
            t.present.step(now, false);
            t.ended = t.ended.max(now);
        });
    }

    /// It began to wait in the queue.
    pub fn hold(&self, now: Duration) {
        self.with(|t| t.held.step(now, true));
    }

    /// It left the queue, by whichever way.
    pub fn unhold(&self, now: Duration) {
        self.with(|t| t.held.step(now, false));
    }

    /// The totals as of `now`, for a report. What counts as told is the most since the last heartbeat, not what happens to
    /// be present at the moment of the report: short requests, one at a time, are news once and not each.
    pub fn tell(&self, now: Duration) -> Snapshot {
        self.with(|t| {
            let most = t.peak + t.peak / 8;
            if now.saturating_sub(t.peak_since) >= HEARTBEAT {
                t.told = most;
                (t.peak, t.peak_since) = (t.present.level, now);
            } else {
                t.told = t.told.max(most);
            }
        });
        self.read(now)
    }

    /// The totals as of `now`.
    pub fn read(&self, now: Duration) -> Snapshot {
        self.with(|t| {
            t.present.advance(now);
            t.held.advance(now);
            let at_pods = t.present.request_micros.saturating_sub(t.held.request_micros);
            Snapshot {
                requests: t.requests,
                in_flight_ms: millis(at_pods),
                held_ms: millis(t.held.request_micros),
                in_flight: t.present.level.saturating_sub(t.held.level),
                held: t.held.level,
                idle: if t.present.level > 0 { Duration::ZERO } else { now.saturating_sub(t.ended) },
            }
        })
    }
}

fn millis(request_micros: u128) -> u64 {
    u64::try_from(request_micros / 1000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn held_and_in_flight_time_are_told_apart() {
        let totals = Totals::default();
        totals.begin(ms(0));
        totals.hold(ms(0));
        totals.begin(ms(10));
        totals.unhold(ms(40));
        let seen = totals.read(ms(50));
        // The first was held for 40 and at a pod for 10; the second at a pod for 40.
        assert_eq!(seen, Snapshot { requests: 2, in_flight_ms: 50, held_ms: 40, in_flight: 2, held: 0, idle: ms(0) });
        totals.end(ms(60));
        totals.end(ms(60));
        assert_eq!(totals.read(ms(1000)).in_flight_ms, 70);
        assert_eq!(totals.read(ms(1000)).in_flight, 0);
        assert_eq!(totals.read(ms(1000)).idle, ms(940));
    }

    #[test]
    fn a_short_request_leaves_its_trace() {
        let totals = Totals::default();
        for i in 0..1000 {
            totals.begin(Duration::from_micros(i * 100));
            totals.end(Duration::from_micros(i * 100 + 50));
        }
        assert_eq!(totals.read(ms(1000)).in_flight_ms, 50);
    }

    #[test]
    fn more_than_was_told_is_news() {
        let totals = Totals::default();
        let begin = |count: u32| (0..count).map(|_| totals.begin(ms(1))).collect::<Vec<_>>();
        assert_eq!(begin(2), [true, true], "until it is told");
        totals.tell(ms(20));
        assert_eq!(begin(1), [true]);
        begin(13);
        totals.tell(ms(40));
        assert_eq!(begin(3), [false, false, true], "sixteen were told: an eighth more is none");
        (0..19).for_each(|_| totals.end(ms(50)));
        totals.tell(ms(60));
        assert_eq!(begin(1), [false], "up and down again");
        totals.end(ms(70));
        totals.tell(ms(1000));
        assert_eq!(begin(1), [false], "there were as many within the second");
        totals.end(ms(1100));
        totals.tell(ms(2000));
        assert_eq!(begin(2), [false, true], "one was the most within the next");
        (0..2).for_each(|_| totals.end(ms(2100)));
        totals.tell(ms(3000));
        totals.tell(ms(4000));
        assert_eq!(begin(1), [true], "after a second without any");
    }

    #[test]
    fn short_requests_are_news_once() {
        let totals = Totals::default();
        let mut news = Vec::new();
        for at in (0..5000).step_by(10) {
            if totals.begin(ms(at)) {
                news.push(at);
            }
            totals.end(ms(at + 1));
            // Whatever makes the reports, they find nobody present.
            totals.tell(ms(at + 2));
        }
        assert_eq!(news, [0]);
    }

    #[test]
    fn a_late_clock_does_not_run_backwards() {
        let totals = Totals::default();
        totals.begin(ms(20));
        totals.end(ms(10));
        assert_eq!(totals.read(ms(20)).in_flight_ms, 0);
    }
}
