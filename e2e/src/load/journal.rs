//! What became of every request, and what that comes to.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use http::Method;
use jiff::Timestamp;
use serde::Serialize;

use crate::bench::stats::Spread;

/// One time axis for our own clock, the API server's timestamps and the pods': seconds since the run began. All are on one
/// machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Instant,
    wall: Timestamp,
}

impl Clock {
    /// Zero is now.
    pub fn start() -> Self {
        Self { began: Instant::now(), wall: Timestamp::now() }
    }

    /// When zero was.
    pub fn wall(&self) -> Timestamp {
        self.wall
    }

    /// Now.
    pub fn now(&self) -> f64 {
        self.seconds(Instant::now())
    }

    /// Of a moment of our own.
    pub fn seconds(&self, at: Instant) -> f64 {
        let after = at.saturating_duration_since(self.began).as_secs_f64();
        if after > 0.0 { after } else { -self.began.saturating_duration_since(at).as_secs_f64() }
    }

    /// Of a timestamp.
    pub fn of(&self, at: Timestamp) -> f64 {
        at.duration_since(self.wall).as_secs_f64()
    }

    /// Of microseconds since 1970.
    pub fn of_unix_micros(&self, micros: i64) -> Option<f64> {
        Some(self.of(Timestamp::from_microsecond(micros).ok()?))
    }
}

/// One request. Times are seconds on the run's [`Clock`].
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sample {
    /// The load it belongs to.
    pub load: &'static str,
    /// Its id, which the test application logs if it is a POST.
    pub id: String,
    /// GET or POST.
    #[serde(skip)]
    pub method: Method,
    /// Whether its answer is a stream.
    pub stream: bool,
    /// When it should have been sent.
    pub due: f64,
    /// When it was.
    pub sent: f64,
    /// When the head of the answer came.
    pub head: Option<f64>,
    /// When the answer was whole, or failed.
    pub ended: f64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Why it was sent a second time, if it was.
    pub broke: Option<String>,
    /// Whether the answer said that it was the last one of its connection (`Connection: close`).
    pub last: bool,
    /// The pod that answered.
    pub pod: Option<String>,
    /// When it arrived there.
    pub arrived: Option<f64>,
    /// Whether it waited for a start.
    pub cold: bool,
    /// Whether it was held.
    pub held: bool,
    /// When the activator let it go to a pod, if it was held: when it was sent, and as long as the activator says that it
    /// held it. So it is early by the request's way to the activator.
    pub released: Option<f64>,
    /// When it came into the activator's queue and when it was let go, both by the activator's own clock, in seconds from when
    /// its pod was ready. Of one that came before the wake both are late by the time from the one to the other.
    pub queued: Option<(f64, f64)>,
}

impl Sample {
    /// From when it was due to the end of the answer, in milliseconds.
    pub fn took_ms(&self) -> f64 {
        (self.ended - self.due) * 1e3
    }
}

/// Every outcome of a run. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    clock: Clock,
    samples: Arc<Mutex<Vec<Sample>>>,
    ids: Arc<AtomicUsize>,
}

/// What a load comes to.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// Requests sent and done.
    pub requests: usize,
    /// Of these not answered as they should.
    pub failed: usize,
    /// Those that were held.
    pub held: usize,
    /// Those that waited for a start.
    pub cold: usize,
    /// POSTs with an id.
    pub posts: usize,
    /// Milliseconds from due to whole, streams left out.
    pub took_ms: Option<Spread>,
    /// How late they were sent, in milliseconds: what the generator itself could not keep up with.
    pub late_ms: Option<Spread>,
    /// The reasons of failures, and how often each.
    pub failures: BTreeMap<String, usize>,
}

/// One second of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Second {
    /// Which second of the run.
    pub second: i64,
    /// Sent in it.
    pub sent: usize,
    /// Answered in it.
    pub ok: usize,
    /// Failed in it.
    pub failed: usize,
    /// Sent and not yet done at its end.
    pub in_flight: usize,
    /// Median of what ended in it.
    pub p50_ms: f64,
    /// 99th percentile of that.
    pub p99_ms: f64,
    /// Largest of that.
    pub max_ms: f64,
}

impl Journal {
    /// Empty.
    pub fn new(clock: Clock) -> Self {
        Self { clock, samples: Arc::default(), ids: Arc::default() }
    }

    /// Its time axis.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// A number that no other request of this run has.
    pub fn number(&self) -> usize {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Adds an outcome.
    pub fn add(&self, sample: Sample) {
        self.lock().push(sample);
    }

    /// Every outcome so far that is as `wanted` says.
    pub fn samples(&self, wanted: impl Fn(&Sample) -> bool) -> Vec<Sample> {
        self.lock().iter().filter(|sample| wanted(sample)).cloned().collect()
    }

    /// How many there are, and how many of them failed.
    pub fn so_far(&self) -> (usize, usize) {
        let samples = self.lock();
        (samples.len(), samples.iter().filter(|sample| sample.failure.is_some()).count())
    }

    /// What some of them come to.
    pub fn counted(&self, wanted: impl Fn(&Sample) -> bool) -> Counted {
        let samples = self.samples(wanted);
        let number = |of: fn(&Sample) -> bool| samples.iter().filter(|sample| of(sample)).count();
        let mut failures = BTreeMap::new();
        for failure in samples.iter().filter_map(|sample| sample.failure.clone()) {
            *failures.entry(failure).or_default() += 1;
        }
        let answered = samples.iter().filter(|sample| !sample.stream && sample.failure.is_none());
        Counted {
            requests: samples.len(),
            failed: number(|sample| sample.failure.is_some()),
            held: number(|sample| sample.held),
            cold: number(|sample| sample.cold),
            posts: number(|sample| sample.method == Method::POST),
            took_ms: Spread::of(answered.map(Sample::took_ms)),
            late_ms: Spread::of(samples.iter().map(|sample| (sample.sent - sample.due) * 1e3)),
            failures,
        }
    }

    /// Second by second, for each load.
    pub fn seconds(&self) -> BTreeMap<&'static str, Vec<Second>> {
        let mut loads: BTreeMap<&'static str, Vec<Sample>> = BTreeMap::new();
        for sample in self.lock().iter() {
            loads.entry(sample.load).or_default().push(sample.clone());
        }
        loads.into_iter().map(|(load, samples)| (load, seconds(&samples))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Sample>> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seconds(samples: &[Sample]) -> Vec<Second> {
    // Seconds of a run fit.
    #[allow(clippy::cast_possible_truncation)]
    let second = |at: f64| at.floor() as i64;
    let mut all: BTreeMap<i64, (Second, Vec<f64>)> = BTreeMap::new();
    for sample in samples {
        all.entry(second(sample.sent)).or_default().0.sent += 1;
        let (ended, took) = all.entry(second(sample.ended)).or_default();
        if sample.failure.is_some() {
            ended.failed += 1
        } else {
            ended.ok += 1
        }
        took.push(sample.took_ms());
    }
    let (Some(first), Some(last)) = (all.keys().next().copied(), all.keys().last().copied()) else { return Vec::new() };
    let mut in_flight = 0;
    (first..=last)
        .map(|number| {
            let (mut now, took) = all.remove(&number).unwrap_or_default();
            // Both count what there was, so the difference never falls below zero.
            in_flight = in_flight + now.sent - now.ok - now.failed;
            (now.second, now.in_flight) = (number, in_flight);
            if let Some(spread) = Spread::of(took) {
                (now.p50_ms, now.p99_ms, now.max_ms) = (spread.p50, spread.p99, spread.max);
            }
            now
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sample(sent: f64, ended: f64, failure: Option<&str>) -> Sample {
        Sample { load: "a", sent, due: sent, ended, failure: failure.map(str::to_owned), ..Sample::default() }
    }

    #[test]
    fn second_by_second_without_gaps() {
        let journal = Journal::new(Clock::start());
        journal.add(sample(0.5, 3.25, None));
        journal.add(sample(0.75, 0.85, Some("502")));
        let seconds = &journal.seconds()["a"];
        let counts: Vec<_> = seconds.iter().map(|s| (s.second, s.sent, s.ok, s.failed, s.in_flight)).collect();
        assert_eq!(counts, [(0, 2, 0, 1, 1), (1, 0, 0, 0, 1), (2, 0, 0, 0, 1), (3, 0, 1, 0, 0)]);
        assert_eq!(seconds[3].max_ms, 2750.0);
        let counted = journal.counted(|_| true);
        assert_eq!((counted.requests, counted.failed, counted.failures["502"]), (2, 1, 1));
        assert_eq!(journal.so_far(), (2, 1));
    }

    #[test]
    fn one_time_axis() {
        let clock = Clock::start();
        let later = clock.wall() + Duration::from_millis(1500);
        assert_eq!(clock.of(later), 1.5);
        let micros = clock.of_unix_micros(later.as_microsecond()).unwrap();
        assert!((micros - 1.5).abs() < 1e-5, "{micros}");
        assert_eq!(clock.seconds(clock.began + Duration::from_secs(2)), 2.0);
        assert_eq!(clock.seconds(clock.began - Duration::from_secs(2)), -2.0);
    }
}
