//! The figures of one run, and what becomes of those of several.

use serde::Serialize;

use crate::bench::stats::Spread;

/// What one run has shown, or a median, a minimum or a ratio of several. What a run in which no pod is measured cannot have is absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Requests answered a second.
    pub rps: f64,
    /// Median latency of a request, in microseconds.
    pub p50_us: f64,
    /// 99th percentile of it.
    pub p99_us: f64,
    /// Mean of it.
    pub mean_us: f64,
    /// User and system time of the pod's processes for each request, in microseconds.
    pub cpu_us: Option<f64>,
    /// Resident memory of the pod's processes under the load, in KiB.
    pub rss_kib: Option<f64>,
}

impl Figures {
    /// Each figure by itself, over all of `series`; `None` for an empty one.
    pub(in crate::bench) fn each(series: &[Self], pick: impl Fn(&Spread) -> f64) -> Option<Self> {
        let of = |figure: fn(&Self) -> Option<f64>| {
            let numbers: Option<Vec<f64>> = series.iter().map(figure).collect();
            Spread::of(numbers?).map(|spread| pick(&spread))
        };
        Some(Self {
            rps: of(|f| Some(f.rps))?,
            p50_us: of(|f| Some(f.p50_us))?,
            p99_us: of(|f| Some(f.p99_us))?,
            mean_us: of(|f| Some(f.mean_us))?,
            cpu_us: of(|f| f.cpu_us),
            rss_kib: of(|f| f.rss_kib),
        })
    }

    /// Each as a multiple of the other's.
    pub(in crate::bench) fn over(self, other: Self) -> Self {
        let both = |a: Option<f64>, b: Option<f64>| Some(a? / b?);
        Self {
            rps: self.rps / other.rps,
            p50_us: self.p50_us / other.p50_us,
            p99_us: self.p99_us / other.p99_us,
            mean_us: self.mean_us / other.mean_us,
            cpu_us: both(self.cpu_us, other.cpu_us),
            rss_kib: both(self.rss_kib, other.rss_kib),
        }
    }
}
