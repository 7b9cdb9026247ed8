//! `cargo e2e bench`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::ready;
use crate::bench::{cold_start, cpu_limit, idle, stats::millis};
use crate::cluster::Cluster;
use crate::steps::Steps;
use crate::{images, kube, scene};

/// Measure Rouse against its floor, in one run on the node.
#[derive(Debug, Args)]
pub(super) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A request to a function at zero, beside a bare Deployment of the same pod scaled from 0 to 1, in turn.
    ColdStart {
        /// How many of each.
        #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
        trials: u32,
        /// Instead of the bare Deployment: a function with this CPU limit beside one without, such as 100m.
        #[arg(long, value_name = "CORES")]
        cpu_limit: Option<String>,
        /// Write the figures there, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Memory of an idle installation: the resident sets of operator and activator.
    Idle {
        /// Write the figures there, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
}

impl Bench {
    pub(super) fn run(self) -> Result<()> {
        let cluster = ready::with_rouse(&Steps::new(), &[])?;
        match self.what {
            What::ColdStart { trials, cpu_limit: None, json } => cold_starts(&cluster, trials as usize, json),
            What::ColdStart { trials, cpu_limit: Some(limit), json } => {
                limited_starts(&cluster, trials as usize, &limit, json)
            }
            What::Idle { json } => {
                let figures = cluster.runtime()?.block_on(async { idle::measure(&cluster).await })?;
                for process in &figures.processes {
                    println!("{:<12} {:>8.1} MiB  pid {}", process.name, process.rss_mib, process.pid);
                }
                println!("{:<12} {:>8.1} MiB  (goal: 64 MiB)", "together", figures.together_mib);
                write(json, &figures)
            }
        }
    }
}

fn cold_starts(cluster: &Cluster, trials: usize, json: Option<PathBuf>) -> Result<()> {
    let report = cluster.runtime()?.block_on(async {
        cold_start_bench(cluster)
            .await?
            .run(trials, |trial, bare, function| {
                println!("{trial:>4}  bare {:>8.1} ms   function {:>8.1} ms", millis(bare), millis(function));
            })
            .await
    })?;
    println!("\n              n      p50      p95      max   (ms)");
    for (name, s) in [("bare pod", &report.bare), ("function", &report.function.stats)] {
        println!("{name:<10} {:>4} {:>8.1} {:>8.1} {:>8.1}", s.n, s.p50_ms, s.p95_ms, s.max_ms);
    }
    println!("ratio of medians: {:.3}\n\nphases, medians:", report.ratio_p50);
    for (name, ms) in &report.function.phases_ms {
        println!("  {name:<12} {ms:>8.1} ms");
    }
    println!("the phases' sum is at most {:.1} % off the whole", report.function.phases_gap * 100.0);
    write(json, &report)
}

async fn cold_start_bench(cluster: &Cluster) -> Result<cold_start::Bench> {
    let client = kube::client(cluster).await?;
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    Ok(cold_start::Bench {
        entry: scene::entry(&client).await?,
        client,
        namespace: format!("bench-{}", &suffix[..6]),
        image: images::TESTAPP.to_owned(),
    })
}

fn limited_starts(cluster: &Cluster, trials: usize, limit: &str, json: Option<PathBuf>) -> Result<()> {
    let report = cluster.runtime()?.block_on(async {
        let bench = cold_start_bench(cluster).await?;
        let progress = |trial, free, limited| {
            println!("{trial:>4}  no limit {:>8.1} ms   limited {:>8.1} ms", millis(free), millis(limited));
        };
        cpu_limit::run(&bench, limit, trials, progress).await
    })?;
    println!("\n              n      p50      p95      max   (ms)");
    for (name, s) in [("no limit", &report.free), (limit, &report.limited)] {
        println!("{name:<10} {:>4} {:>8.1} {:>8.1} {:>8.1}", s.n, s.p50_ms, s.p95_ms, s.max_ms);
    }
    println!("ratio of medians: {:.3} (goal: 1.1)", report.ratio_p50);
    write(json, &report)
}

fn write(path: Option<PathBuf>, figures: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
