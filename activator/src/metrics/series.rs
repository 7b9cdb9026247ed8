//! What is counted of each function, for as long as the function is there.
//!
//! A [`Record`] belongs to its Function and goes with it, and the series that a scrape shows are read from the functions that
//! are there: nothing is looked up by label, and nothing has to be taken out of a registry.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;

use super::histogram::Histogram;
use super::{Class, WakeResult};
use crate::clock;
use crate::path::fault::Fault;

/// What stands in the place of the names of a function that has no series of its own. No name of Kubernetes' begins so.
pub(super) const OTHER: &str = "_other";
/// For so long the series of a revision are shown after the next one serves, so that the last of what it did is scraped.
pub(super) const AFTERGLOW: Duration = Duration::from_secs(300);

/// What is counted of one revision. Every number only grows.
#[derive(Debug, Default)]
pub struct Series {
    /// Name of the revision.
    pub revision: Arc<str>,
    classes: [AtomicU64; Class::ALL.len()],
    /// To the heads of responses of the function: to requests that did not wait for a start, and to those that did.
    pub first_byte: [Histogram; 2],
    rare: Mutex<Rare>,
}

/// What is not counted on the way of a request that all is well with.
#[derive(Clone, Debug, Default)]
pub(super) struct Rare {
    /// Requests not answered by the function, by cause.
    pub faults: BTreeMap<&'static str, u64>,
    /// Patches of `/scale`.
    pub wakes: BTreeMap<WakeResult, u64>,
    /// Requests that looked for another pod.
    pub retries: u64,
}

impl Series {
    fn new(revision: &Arc<str>) -> Arc<Self> {
        Arc::new(Self { revision: Arc::clone(revision), ..Self::default() })
    }

    /// The function's answer to a request.
    pub(super) fn answered(&self, class: Class, cold: bool, took: Duration) {
        self.classes[class as usize].fetch_add(1, Ordering::Relaxed);
        self.first_byte[usize::from(cold)].observe(took);
    }

    /// A request that the function did not answer, for this cause.
    pub(super) fn failed(&self, class: Class, fault: &'static str) {
        self.classes[class as usize].fetch_add(1, Ordering::Relaxed);
        *self.lock().faults.entry(fault).or_default() += 1;
    }

    pub(super) fn woken(&self, result: WakeResult) {
        *self.lock().wakes.entry(result).or_default() += 1;
    }

    pub(super) fn retried(&self) {
        self.lock().retries += 1;
    }

    /// Requests that were answered, by whomever, with a status of this class.
    pub(super) fn requests(&self, class: Class) -> u64 {
        self.classes[class as usize].load(Ordering::Relaxed)
    }

    pub(super) fn rare(&self) -> Rare {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Rare> {
        self.rare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many functions may have series of their own.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: AtomicUsize,
    other: Arc<Series>,
}

/// A function's leave to have series of its own; given back with the function.
#[derive(Debug)]
struct Seat(Arc<Seats>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Seats {
    /// For so many functions.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: AtomicUsize::new(0), other: Series::new(&OTHER.into()) })
    }

    /// What is counted of all functions together that found no seat.
    pub(super) fn other(&self) -> &Series {
        &self.other
    }

    fn take(self: &Arc<Self>) -> Option<Seat> {
        let room = |taken| (taken < self.most).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, room);
        taken.is_ok().then(|| Seat(Arc::clone(self)))
    }
}

/// The series of one function: none before its first request here.
#[derive(Debug, Default)]
pub struct Record {
    shown: ArcSwapOption<Shown>,
    /// Held by whoever replaces what is shown.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Shown {
    /// None: all in one with others.
    seat: Option<Arc<Seat>>,
    /// Of the serving revision.
    now: Arc<Series>,
    /// Of the one before, and since when it is that.
    before: Option<(Arc<Series>, Duration)>,
}

impl Shown {
    /// Whether what such a revision does is counted in [`Shown::now`].
    fn is_now(&self, revision: &str) -> bool {
        self.seat.is_none() || *self.now.revision == *revision
    }

    fn was_before(&self, revision: &str) -> Option<&Arc<Series>> {
        self.before.as_ref().map(|(series, _)| series).filter(|series| *series.revision == *revision)
    }

    /// The same with another revision that serves, which may be the one before.
    fn then(&self, serving: &Arc<str>) -> Self {
        let now = self.was_before(serving).cloned().unwrap_or_else(|| Series::new(serving));
        Self { seat: self.seat.clone(), now, before: Some((Arc::clone(&self.now), clock::now())) }
    }
}

impl Record {
    /// Counts something of a revision. `serving` is the revision that serves now: with the first sample after a change it
    /// takes the place of the earlier one. What belongs to neither any more counts as the serving one's.
    pub(super) fn with(
        &self,
        seats: &Arc<Seats>,
        revision: &str,
        serving: impl FnOnce() -> Arc<str>,
        count: impl FnOnce(&Series),
    ) {
        if let Some(shown) = self.shown.load().as_ref().filter(|shown| shown.is_now(revision)) {
            return count(&shown.now);
        }
        count(&self.find(seats, revision, &serving()));
    }

    /// Whether there has been a sample, or is to be one.
    pub(super) fn has_begun(&self) -> bool {
        self.shown.load().is_some()
    }

    /// The caller of a request went away before there was an answer.
    pub fn gone(&self) {
        if let Some(shown) = self.shown.load().as_ref() {
            let gone = Fault::ClientGone;
            shown.now.failed(Class::of(gone.status().as_u16()), gone.slug());
        }
    }

    /// Makes the series if need be. Seldom: for the first sample of a function or revision, and for stragglers.
    fn find(&self, seats: &Arc<Seats>, revision: &str, serving: &Arc<str>) -> Arc<Series> {
        let _one = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = match self.shown.load_full() {
            Some(shown) if shown.is_now(serving) => shown,
            Some(earlier) => Arc::new(earlier.then(serving)),
            None => {
                let seat = seats.take().map(Arc::new);
                let now = if seat.is_some() { Series::new(serving) } else { Arc::clone(&seats.other) };
                Arc::new(Shown { seat, now, before: None })
            }
        };
        let found = Arc::clone(shown.was_before(revision).unwrap_or(&shown.now));
        self.shown.store(Some(shown));
        found
    }

    /// Whether the function is counted together with others, or not at all yet.
    pub(super) fn is_own(&self) -> bool {
        self.shown.load().as_ref().is_some_and(|shown| shown.seat.is_some())
    }

    /// What a scrape at `now` shows: nothing, the serving revision's, or for a while also those of the one before.
    pub(super) fn read(&self, now: Duration) -> Vec<Arc<Series>> {
        let shown = self.shown.load();
        let Some(shown) = shown.as_ref().filter(|shown| shown.seat.is_some()) else { return Vec::new() };
        let fresh = |since: &Duration| now.saturating_sub(*since) < AFTERGLOW;
        let before = shown.before.as_ref().filter(|(_, since)| fresh(since)).map(|(series, _)| Arc::clone(series));
        before.into_iter().chain([Arc::clone(&shown.now)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(record: &Record, seats: &Arc<Seats>, revision: &str, serving: &str) {
        let count = |series: &Series| series.answered(Class::Success, false, Duration::from_millis(1));
        record.with(seats, revision, || serving.into(), count);
    }

    /// Revision and answers of each of the series that are shown.
    fn shown(record: &Record, now: Duration) -> Vec<(String, u64)> {
        let series = record.read(now);
        series.iter().map(|series| (series.revision.to_string(), series.requests(Class::Success))).collect()
    }

    #[test]
    fn a_revision_is_shown_for_a_while_after_the_next_serves() {
        let (seats, record) = (Seats::new(1), Record::default());
        assert!(shown(&record, clock::now()).is_empty());
        answer(&record, &seats, "r1", "r1");
        answer(&record, &seats, "r1", "r1");
        // Its last answer comes when the next one serves already, and is still its own, whoever is first.
        answer(&record, &seats, "r1", "r2");
        answer(&record, &seats, "r2", "r2");
        answer(&record, &seats, "r1", "r2");
        let both = [("r1".to_owned(), 4), ("r2".to_owned(), 1)];
        assert_eq!(shown(&record, clock::now()), both);
        let later = clock::now() + AFTERGLOW;
        assert_eq!(shown(&record, later), both[1..]);
        // Two at most: what an older one did counts as the serving one's.
        answer(&record, &seats, "r3", "r3");
        answer(&record, &seats, "r1", "r3");
        assert_eq!(shown(&record, clock::now()), [("r2".to_owned(), 1), ("r3".to_owned(), 2)]);
        // Back to the one before: its numbers go on.
        answer(&record, &seats, "r2", "r2");
        assert_eq!(shown(&record, clock::now() + AFTERGLOW), [("r2".to_owned(), 2)]);
    }

    #[test]
    fn functions_beyond_the_limit_are_counted_as_one() {
        let seats = Seats::new(2);
        let records = [(); 4].map(|()| Record::default());
        for record in &records {
            answer(record, &seats, "r1", "r1");
            answer(record, &seats, "r2", "r2");
        }
        assert_eq!(records.each_ref().map(Record::is_own), [true, true, false, false]);
        assert!(shown(&records[2], clock::now()).is_empty());
        assert_eq!(seats.other().requests(Class::Success), 4);
        // One that goes makes room, for the next that comes: those who were counted as one stay so.
        drop(records);
        let next = Record::default();
        answer(&next, &seats, "r1", "r1");
        assert!(next.is_own());
    }

    #[test]
    fn no_sample_is_lost_between_threads() {
        let (seats, record) = (Seats::new(1), Record::default());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|_| answer(&record, &seats, "r1", "r1")));
            }
        });
        assert_eq!(shown(&record, clock::now()), [("r1".to_owned(), 4000)]);
        assert_eq!(seats.taken.load(Ordering::Acquire), 1, "one function, one seat");
    }
}
