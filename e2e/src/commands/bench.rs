//! `cargo e2e bench`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::{ready, soak::writable};
use crate::bench::{
    cold_start, cpu_limit, frameworks, idle, proxy, runtimes,
    stats::{Stats, millis},
};
use crate::cluster::Cluster;
use crate::steps::{Steps, seconds};
use crate::{images, install, kube, scene};

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
        /// Instead of the bare Deployment: functions from source, and a text of 60 KiB on three ways into the pod, beside a static
        /// binary.
        #[arg(long, conflicts_with = "cpu_limit")]
        runtimes: bool,
        /// Write the figures there, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Requests through the activator, beside nginx, HAProxy, a proxy in Go and no proxy at all.
    ///
    /// All in front of the same warm pod, in turn, under the same load of h2load: HTTP/1.1 and h2c, 1 and 64 connections, bodies
    /// of 13 B, 16 KiB and 1 MiB. Nothing else should run on the machine; on a noisy one trust the CPU time alone. How it is
    /// measured: docs/performance.md.
    #[command(
        after_help = "Examples:\n  cargo e2e bench proxy --json proxy.json      all of it, about 14 minutes\n  cargo e2e bench proxy --quick                a short look at all of it, about 4 minutes\n  cargo e2e bench proxy --only http1/64/13     one load: protocol, connections, bytes of body"
    )]
    Proxy {
        /// How often each proxy runs under each load.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// How long each run counts.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
        seconds: u32,
        /// Two rounds of a second each: to look, not to show anything.
        #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
        quick: bool,
        /// Only loads whose name contains this.
        #[arg(long, value_name = "LOAD")]
        only: Option<String>,
        /// Write the figures there, as JSON.
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Functions from source, beside Google's Functions Framework for Python and for Node.
    ///
    /// The same handler in pods of one shape, one pod at a time. A turn of each is a start from zero, 1,000 requests to the pod and
    /// 1,000 through the activator, 50 at once and each answer checked, and a load of h2load on the pod over 50 connections. The
    /// frameworks come from PyPI and npm, in the versions of e2e/frameworks. Nothing else should run on the machine; on a noisy one
    /// trust the CPU time alone.
    Frameworks {
        /// Turns of each.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
        rounds: u32,
        /// How long each load counts.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=600))]
        seconds: u32,
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
        let rouse = || ready::with_rouse(&Steps::new(), &[]);
        match self.what {
            What::ColdStart { trials, runtimes: true, json, .. } => runtimes(&rouse()?, trials as usize, json),
            What::ColdStart { trials, cpu_limit: None, json, .. } => cold_starts(&rouse()?, trials as usize, json),
            What::ColdStart { trials, cpu_limit: Some(limit), json, .. } => {
                limited_starts(&rouse()?, trials as usize, &limit, json)
            }
            What::Proxy { quick: true, only, json, .. } => proxies(2, Duration::from_secs(1), only.as_deref(), json),
            What::Proxy { rounds, seconds, only, json, .. } => {
                proxies(rounds as usize, Duration::from_secs(seconds.into()), only.as_deref(), json)
            }
            What::Frameworks { rounds, seconds, json } => {
                frameworks(rounds as usize, Duration::from_secs(seconds.into()), json)
            }
            What::Idle { json } => idle(&rouse()?, json),
        }
    }
}

fn idle(cluster: &Cluster, json: Option<PathBuf>) -> Result<()> {
    let figures = cluster.runtime()?.block_on(async { idle::measure(cluster).await })?;
    for process in &figures.processes {
        println!("{:<12} {:>8.1} MiB  pid {}", process.name, process.rss_mib, process.pid);
    }
    println!("{:<12} {:>8.1} MiB  (goal: 64 MiB)", "together", figures.together_mib);
    write(json, &figures)
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
    Ok(cold_start::Bench {
        entry: scene::entry(&client).await?,
        client,
        namespace: namespace(),
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

fn runtimes(cluster: &Cluster, trials: usize, json: Option<PathBuf>) -> Result<()> {
    let report = cluster.runtime()?.block_on(async {
        let bench = cold_start_bench(cluster).await?;
        let progress = |trial, name, took| println!("{trial:>4}  {name:<8} {:>8.1} ms", millis(took));
        runtimes::run(&bench, trials, progress).await
    })?;
    println!("\n            n      p50      p95      max   ratio   start    probe   (ms)");
    for one in &report.contestants {
        let (s, phase) = (&one.starts.stats, |name: &str| one.starts.phases_ms.get(name).copied().unwrap_or_default());
        let (start, probe) = (phase("start"), phase("probe"));
        let Stats { n, p50_ms, p95_ms, max_ms } = s;
        println!(
            "{:<8} {n:>4} {p50_ms:>8.1} {p95_ms:>8.1} {max_ms:>8.1} {:>7.2} {start:>7.1} {probe:>8.1}",
            one.name, one.ratio_p50
        );
    }
    println!("start is the kubelet's work until the pod has an IP, probe the program's until it listens");
    write(json, &report)
}

fn proxies(rounds: usize, measured: Duration, only: Option<&str>, json: Option<PathBuf>) -> Result<()> {
    let mut cells = proxy::Cell::all();
    cells.retain(|cell| only.is_none_or(|only| cell.to_string().contains(only)));
    let extent = proxy::Extent { rounds, measured, cells };
    ensure!(!extent.cells.is_empty(), "no load has such a name; they are PROTOCOL/CONNECTIONS/BYTES, as http1/64/13");
    if let Some(path) = &json {
        // Now rather than after a quarter of an hour.
        writable(path)?;
    }
    let steps = Steps::new();
    let programs = proxy::Programs::prepare(&steps)?;
    let cluster = ready::with_rouse(&steps, &[])?;
    println!("{}\n{} runs, about {}", programs.versions()?.join("\n"), extent.runs(), seconds(extent.lasts()));
    let rows = cluster.runtime()?.block_on(async {
        let client = kube::client(&cluster).await?;
        let bench = proxy::Bench { client, namespace: namespace(), image: images::TESTAPP.to_owned(), programs };
        bench.run(&extent, |line| println!("{line}")).await
    })?;
    println!(
        "\nMedians of {rounds}. CPU µs: user and system time of the proxy for each request; to nginx: within a round."
    );
    print!("{}", proxy::table(&rows));
    write(json, &rows)
}

fn frameworks(rounds: usize, measured: Duration, json: Option<PathBuf>) -> Result<()> {
    if let Some(path) = &json {
        writable(path)?;
    }
    let steps = Steps::new();
    let h2load = frameworks::prepare(&steps)?;
    let cluster = ready::with_rouse(&steps, &[])?;
    install::loaded(&cluster, &frameworks::images(), &steps)?;
    let rows = cluster.runtime()?.block_on(async {
        let bench = frameworks::Bench { starts: cold_start_bench(&cluster).await?, h2load, rounds, measured };
        bench.run(|line| println!("{line}")).await
    })?;
    println!(
        "\nMedians of {rounds}. CPU µs: user and system time of the pod's processes for each request; to ours: within a round."
    );
    print!("{}", frameworks::table(&rows));
    write(json, &rows)?;
    frameworks::failures(&rows)
}

/// A name that nobody else has.
fn namespace() -> String {
    let suffix = uuid::Uuid::new_v4().simple().to_string();
    format!("bench-{}", &suffix[..6])
}

fn write(path: Option<PathBuf>, figures: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let text = serde_json::to_string_pretty(figures)? + "\n";
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}
