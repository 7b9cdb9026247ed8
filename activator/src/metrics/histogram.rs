//! A histogram for the request path: two additions a sample, and no lock.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Upper bounds in seconds: a warm answer, a slow one, a cold start, a hopeless one. Few, as each function has every one of
/// them twice.
pub(super) const BOUNDS: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

/// How long things took, in [`BOUNDS`].
#[derive(Debug, Default)]
pub struct Histogram {
    /// Samples up to each bound and above the one before; the last are above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    /// One more. The sum holds for 580 years of waiting.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let at = BOUNDS.iter().position(|bound| seconds <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Ordering::Relaxed) == 0)
    }
}

impl EncodeMetric for Histogram {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
        let buckets = bounds.zip(&self.buckets).map(|(bound, count)| (bound, count.load(Ordering::Relaxed)));
        let buckets: [(f64, u64); BOUNDS.len() + 1] = collect(buckets);
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, buckets.iter().map(|(_, count)| count).sum(), &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}

fn collect<const N: usize>(from: impl Iterator<Item = (f64, u64)>) -> [(f64, u64); N] {
    let mut into = [(0.0, 0); N];
    for (slot, item) in into.iter_mut().zip(from) {
        *slot = item;
    }
    into
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn samples_are_counted_up_to_their_bound() {
        let mut registry = Registry::default();
        let histogram = Histogram::default();
        assert!(histogram.is_empty());
        for millis in [5, 6, 25, 9_999, 10_000, 10_001] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert!(!histogram.is_empty());
        registry.register("x", "X", histogram);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let wanted = [
            "x_sum 30.036",
            "x_count 6",
            "x_bucket{le=\"0.005\"} 1",
            "x_bucket{le=\"0.025\"} 3",
            "x_bucket{le=\"0.1\"} 3",
            "x_bucket{le=\"0.5\"} 3",
            "x_bucket{le=\"2.5\"} 3",
            "x_bucket{le=\"10.0\"} 5",
            "x_bucket{le=\"+Inf\"} 6",
        ];
        let seen: Vec<_> = text.lines().filter(|line| line.starts_with("x_")).collect();
        assert_eq!(seen, wanted);
    }
}
