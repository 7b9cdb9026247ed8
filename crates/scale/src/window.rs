//! Sums over a window of time, in a fixed number of buckets.

use std::time::{Duration, Instant};

/// Buckets of one window, whatever its length: the resolution of a linear average. A window of 60 s has buckets of 600 ms,
/// one of an hour of 36 s. Within the bucket that the window's edge cuts, the load counts as spread evenly, so the average is
/// off by at most a hundredth of the highest load in that bucket.
pub const BUCKETS: usize = 100;
/// One more: the window's two ends mostly lie inside a bucket.
const SLOTS: usize = BUCKETS + 1;

/// What happened in some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sum {
    /// Requests at once over time, in request-seconds.
    pub request_seconds: f64,
    /// Requests that arrived.
    pub requests: f64,
}

impl Sum {
    pub(crate) fn is_zero(&self) -> bool {
        self.request_seconds == 0.0 && self.requests == 0.0
    }

    pub(crate) fn times(self, factor: f64) -> Self {
        Self { request_seconds: self.request_seconds * factor, requests: self.requests * factor }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { request_seconds: self.request_seconds + other.request_seconds, requests: self.requests + other.requests }
    }
}

/// The sums of the last window, whenever its parts were told and in whatever order.
///
/// It takes the same memory (1.6 KiB) for any window and any number of reports. Inside a bucket, a hundredth of the
/// window, everything counts as spread evenly; so the sum over the window is wrong by no more than what one bucket, the
/// one that the window's edge cuts, holds: for a load that never exceeds `L`, by `L / 100` in the average.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    epoch: Instant,
    /// Nanoseconds.
    width: u64,
    /// Number of the newest bucket, counted from the epoch.
    head: u64,
    slots: [Sum; SLOTS],
}

impl Window {
    /// An empty one; `first` is where its first part begins.
    pub(crate) fn new(first: Instant, window: Duration) -> Self {
        let width = nanoseconds(window).div_ceil(BUCKETS as u64).max(1);
        // Buckets are counted from one window before, so that what is told late has a place, and one of them begins with
        // the first part, so that the first window is exact.
        let before = Duration::from_nanos(width.saturating_mul(BUCKETS as u64));
        let epoch = first.checked_sub(before).unwrap_or(first);
        let head = nanoseconds(first.saturating_duration_since(epoch)) / width;
        Self { epoch, width, head, slots: [Sum::default(); SLOTS] }
    }

    /// Spreads a sum evenly over [from, to]; what lies before the window is lost.
    pub(crate) fn add(&mut self, from: Instant, to: Instant, sum: Sum) {
        if to < self.epoch {
            return;
        }
        let length = nanoseconds(to.saturating_duration_since(from));
        let end = self.offset(to);
        // The end itself belongs to the next bucket, unless there is nothing before it.
        let last = if length > 0 { end.saturating_sub(1) / self.width } else { end / self.width };
        self.advance(last);
        let start = self.offset(from);
        for number in (start / self.width).max(self.oldest())..=last {
            let bucket = number * self.width;
            let overlap = end.min(bucket + self.width).saturating_sub(start.max(bucket));
            let part = if length > 0 { ratio(overlap) / ratio(length) } else { 1.0 };
            let slot = &mut self.slots[index(number)];
            *slot = slot.plus(sum.times(part));
        }
    }

    /// What happened since then.
    pub(crate) fn since(&self, since: Instant) -> Sum {
        let since = self.offset(since);
        self.buckets().fold(Sum::default(), |total, (bucket, sum)| {
            let inside = (bucket + self.width).saturating_sub(since.max(bucket));
            total.plus(sum.times(ratio(inside) / ratio(self.width)))
        })
    }

    /// Everything in it, as intervals that can be added to another one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (Instant, Instant, Sum)> {
        self.buckets().filter(|(_, sum)| !sum.is_zero()).map(|(bucket, sum)| {
            let from = self.epoch + Duration::from_nanos(bucket);
            (from, from + Duration::from_nanos(self.width), sum)
        })
    }

    /// Start of each bucket, and what is in it.
    fn buckets(&self) -> impl Iterator<Item = (u64, Sum)> {
        (self.oldest()..=self.head).map(|number| (number * self.width, self.slots[index(number)]))
    }

    fn oldest(&self) -> u64 {
        self.head.saturating_sub(BUCKETS as u64)
    }

    fn advance(&mut self, head: u64) {
        if head <= self.head {
            return;
        }
        let fresh = (self.head + 1).max(head.saturating_sub(BUCKETS as u64));
        for number in fresh..=head {
            self.slots[index(number)] = Sum::default();
        }
        self.head = head;
    }

    fn offset(&self, at: Instant) -> u64 {
        nanoseconds(at.saturating_duration_since(self.epoch))
    }
}

fn index(number: u64) -> usize {
    #[allow(clippy::cast_possible_truncation)]
    let index = (number % SLOTS as u64) as usize;
    index
}

/// Good for 584 years.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Exact below 2⁵³ nanoseconds, 104 days.
#[allow(clippy::cast_precision_loss)]
fn ratio(nanoseconds: u64) -> f64 {
    nanoseconds as f64
}

#[cfg(test)]
mod tests;
