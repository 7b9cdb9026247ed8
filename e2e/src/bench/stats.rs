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

/// In milliseconds, with microseconds behind the point.
pub fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The value at or below which `percent` of a sorted series lie.
fn rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
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
}
