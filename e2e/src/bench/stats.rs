//! Order statistics of a series of measurements.

use std::time::Duration;

use serde::Serialize;

/// Milliseconds, by nearest rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stats {
    /// Number of measurements.
    pub n: usize,
    /// Median.
    pub p50_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// Largest.
    pub max_ms: f64,
}

impl Stats {
    /// Of a series, in any order; `None` for an empty one.
    pub fn of(series: &[Duration]) -> Option<Self> {
        let mut sorted = series.to_vec();
        sorted.sort();
        let max = sorted.last()?;
        Some(Self {
            n: sorted.len(),
            p50_ms: millis(rank(&sorted, 50)?),
            p95_ms: millis(rank(&sorted, 95)?),
            max_ms: millis(*max),
        })
    }
}

/// How numbers of any unit are spread, by nearest rank.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// How many.
    pub n: usize,
    /// Smallest.
    pub min: f64,
    /// First quartile.
    pub p25: f64,
    /// Median.
    pub p50: f64,
    /// Third quartile.
    pub p75: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

impl Spread {
    /// Of numbers in any order; `None` for none.
    pub fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = numbers.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |percent| rank(&sorted, percent).map(|number| (number * 1e3).round() / 1e3);
        Some(Self {
            n: sorted.len(),
            min: at(0)?,
            p25: at(25)?,
            p50: at(50)?,
            p75: at(75)?,
            p95: at(95)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

/// In milliseconds, with microseconds behind the point.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The value at or below which `percent` of a sorted series lie.
pub(super) fn rank<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let place = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(place - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_rank() {
        let series: Vec<Duration> = (1..=20).rev().map(Duration::from_millis).collect();
        let stats = Stats::of(&series).unwrap();
        assert_eq!(stats, Stats { n: 20, p50_ms: 10.0, p95_ms: 19.0, max_ms: 20.0 });
        assert_eq!(Stats::of(&[]), None);
        assert_eq!(Stats::of(&[Duration::from_micros(1500)]).unwrap().p95_ms, 1.5);
    }

    #[test]
    fn numbers_of_any_unit() {
        let spread = Spread::of((1..=20).rev().map(f64::from)).unwrap();
        assert_eq!((spread.n, spread.min, spread.p25, spread.p50), (20, 1.0, 5.0, 10.0));
        assert_eq!((spread.p75, spread.p95, spread.p99, spread.max), (15.0, 19.0, 20.0, 20.0));
        assert_eq!(Spread::of([]), None);
    }
}
