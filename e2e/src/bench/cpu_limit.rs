//! Cold starts of a function with a CPU limit beside those of one without, in turn, in one run: what is left of the limit
//! with the start-up boost.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;

use super::{cold_start::Bench, namespace, stats::Stats};

/// CPU request of both, below any limit that is worth measuring.
const REQUEST: &str = "10m";

/// What the bench prints and writes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The CPU limit.
    pub cpu_limit: String,
    /// Median with the limit over median without.
    pub ratio_p50: f64,
    /// The function without a limit.
    pub free: Stats,
    /// The function with the limit.
    pub limited: Stats,
}

/// Runs `trials` of each side, in turn; `progress` hears of each, first the one without a limit.
///
/// # Errors
/// When the cluster refuses a step or one takes longer than a minute.
pub async fn run(
    bench: &Bench,
    cpu_limit: &str,
    trials: usize,
    mut progress: impl FnMut(usize, Duration, Duration),
) -> Result<Report> {
    let measure = async {
        let free = bench.function("free", json!({"cpu": REQUEST})).await?;
        let limited = bench.function("limited", json!({"cpu": REQUEST, "cpuLimit": cpu_limit})).await?;
        let (mut without, mut with) = (Vec::new(), Vec::new());
        // One start of each side beforehand: images are unpacked and caches filled.
        for trial in 0..=trials {
            let (f, l) = if trial % 2 == 0 {
                let f = bench.cold_start("free", &free).await?;
                (f, bench.cold_start("limited", &limited).await?)
            } else {
                let l = bench.cold_start("limited", &limited).await?;
                (bench.cold_start("free", &free).await?, l)
            };
            if trial > 0 {
                progress(trial, f.took, l.took);
                without.push(f.took);
                with.push(l.took);
            }
        }
        Ok((without, with))
    };
    let (without, with) = namespace::during(&bench.client, &bench.namespace, measure).await?;
    let free = Stats::of(&without).context("no measurement")?;
    let limited = Stats::of(&with).context("no measurement")?;
    let ratio_p50 = (limited.p50_ms / free.p50_ms * 1000.0).round() / 1000.0;
    Ok(Report { cpu_limit: cpu_limit.to_owned(), ratio_p50, free, limited })
}
