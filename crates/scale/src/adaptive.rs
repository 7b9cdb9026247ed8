//! An idle window learnt from a function's own past.
//!
//! In the manner of M. Shahrad et al., "Serverless in the Wild: Characterizing and Optimizing the Serverless Workload at a
//! Large Cloud Provider", USENIX ATC 2020, section 4: a histogram of a function's idle times in bins of a minute; the window
//! covers the 99th percentile, with 10 % on top; a histogram that is not representative, by the coefficient of variation of
//! its bin counts, decides nothing, and neither does one that most idle times fall outside of.
//!
//! What is left out, and why. Pre-warming (letting a replica go at once and starting one shortly before the next request is
//! due): a pod that nobody asked for never starts here. The forecast (ARIMA) for functions whose idle times lie mostly
//! outside the histogram: keeping a replica for hours is what a window of an hour is there to avoid, so these have the fixed
//! one. The paper's histogram spans four hours; this one ends where `windowSeconds` ends, at about one.

use std::time::{Duration, Instant};

use crate::idle::Idle;

/// Width of a bin. No learnt window is shorter, so an idle time below it costs no cold start and is not counted.
pub const BIN: Duration = Duration::from_secs(60);
/// Bins: idle times from one minute to just below 61 minutes.
pub const BINS: usize = 60;
/// The window covers so many percent of the idle times.
pub const PERCENTILE: u32 = 99;
/// On top of it, in percent of it.
pub const MARGIN_PERCENT: u32 = 10;
/// Fewest idle times from which anything is learnt.
pub const LEAST: u32 = 10;
/// Least coefficient of variation of the bin counts: with less, the idle times are spread too evenly to say anything.
pub const LEAST_VARIATION: f64 = 2.0;
/// When so many idle times are counted, all counts are halved: old habits are forgotten.
pub const MEMORY: u32 = 1000;

/// The idle times of one function.
///
/// It is 40 bytes, and 120 more from the first idle time of a minute on; see [`BINS`] and [`MEMORY`].
#[derive(Clone, Debug, Default)]
pub struct Adaptive {
    bins: Option<Box<[u16; BINS]>>,
    /// Idle times too long for the bins.
    beyond: u16,
    /// Since when nobody has called, as last seen.
    since: Option<Instant>,
}

impl Adaptive {
    /// Looks at the idle clock: an idle time is over when somebody calls, or when the clock shows a later last call than it
    /// did before. To be called with every word of the activators; what is not heard is not counted.
    pub fn observe(&mut self, now: Instant, idle: &Idle) {
        if idle.known == 0 {
            return;
        }
        let since = idle.quiet.and_then(|quiet| now.checked_sub(quiet));
        if let Some(before) = self.since {
            // A call that came and went between two looks counts up to its end: it was a short one.
            let over = since.unwrap_or(now);
            if over > before {
                self.count(over.saturating_duration_since(before));
            }
        }
        self.since = since;
    }

    /// Counts one idle time.
    pub fn count(&mut self, idle: Duration) {
        let Some(bin) = (idle.as_secs() / BIN.as_secs()).checked_sub(1) else { return };
        let bins = self.bins.get_or_insert_with(|| Box::new([0; BINS]));
        match usize::try_from(bin).ok().and_then(|bin| bins.get_mut(bin)) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
        if self.inside() + u32::from(self.beyond) >= MEMORY {
            self.beyond /= 2;
            self.bins.iter_mut().flat_map(|bins| bins.iter_mut()).for_each(|count| *count /= 2);
        }
    }

    /// The idle window to use: the learnt one, else `fixed`.
    pub fn window(&self, fixed: Duration) -> Duration {
        self.learnt().unwrap_or(fixed)
    }

    /// The learnt window, from 2.2 to 67.1 minutes: the end of the bin of the 99th percentile, and 10 %. `None` while there
    /// are fewer than [`LEAST`] idle times within the bins, while more lie beyond them, or while the bins are too even.
    pub fn learnt(&self) -> Option<Duration> {
        let bins = self.bins.as_deref()?;
        let inside = self.inside();
        if inside < LEAST || u32::from(self.beyond) > inside || variation(bins) < LEAST_VARIATION {
            return None;
        }
        let wanted = (inside * PERCENTILE).div_ceil(100);
        let mut covered = 0;
        let bin = bins.iter().position(|count| {
            covered += u32::from(*count);
            covered >= wanted
        })?;
        // The first bin begins at one width.
        let end = BIN * u32::try_from(bin + 2).ok()?;
        Some(end + end * MARGIN_PERCENT / 100)
    }

    fn inside(&self) -> u32 {
        self.bins.iter().flat_map(|bins| bins.iter()).map(|count| u32::from(*count)).sum()
    }
}

/// Standard deviation of the counts over their mean.
fn variation(bins: &[u16; BINS]) -> f64 {
    let n = f64::from(u32::try_from(BINS).unwrap_or(u32::MAX));
    let mean = bins.iter().map(|count| f64::from(*count)).sum::<f64>() / n;
    let variance = bins.iter().map(|count| (f64::from(*count) - mean).powi(2)).sum::<f64>() / n;
    if mean > 0.0 { variance.sqrt() / mean } else { 0.0 }
}

#[cfg(test)]
mod tests;
