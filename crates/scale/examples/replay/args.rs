//! The command line.

use std::path::PathBuf;

use clap::{ArgGroup, Parser};

/// Replays arrivals against this project's sizing and against fixed keep-alives.
///
/// Every policy gets the same requests and the same replicas: one takes --target requests at
/// once and is ready --cold-start seconds after it was asked for. The table says, for all
/// functions together:
///
///   wakes            requests (or bursts) that came while there was no replica at all
///   held             share of the requests that had to wait, and how long those did (median
///                    and 99th percentile); in "p99 of all" the others count as 0
///   replica-seconds  time that replicas existed, starting ones included
///   wasted           the part of it in which they were not needed: over time, replicas less
///                    (in flight + held) / target, rounded up
///
/// TRACE is one of the Azure Functions data sets (github.com/Azure/AzurePublicDataset), told
/// apart by the header:
///
///   2019  HashOwner,HashApp,HashFunction,Trigger,1,2,…,1440   requests of each minute of a day
///   2021  app,func,end_timestamp,duration                     one row a request, in seconds
///
/// Of a 2019 trace the arrivals inside a minute are drawn at random, from --seed; a minute with
/// more than 300 is replayed as 300 groups at even distances. Its durations come from
/// --durations, drawn from the function's percentiles.
#[derive(Debug, Parser)]
#[command(name = "replay", verbatim_doc_comment, after_long_help = EXAMPLES)]
#[command(group = ArgGroup::new("load").args(["trace", "synthetic"]).required(true))]
pub(crate) struct Args {
    /// Arrivals.
    #[arg(value_name = "TRACE.csv")]
    pub(crate) trace: Option<PathBuf>,
    /// How long a 2019 trace's functions run: HashOwner,HashApp,HashFunction,Average,Count,Minimum,Maximum,
    /// percentile_Average_0,…,percentile_Average_100, in milliseconds.
    #[arg(long, value_name = "FILE")]
    pub(crate) durations: Option<PathBuf>,
    /// Instead of a trace, a made-up load: 40 functions over 8 h, of which 16 periodic, 12 rare, 8 bursty and 4 steady. The
    /// same seed gives the same load. It says how the policies behave, not how much they save in the real world.
    #[arg(long, value_name = "SEED", conflicts_with = "durations")]
    pub(crate) synthetic: Option<u64>,
    /// Draws the replicas of all functions over time.
    #[arg(long, value_name = "OUT.svg")]
    pub(crate) svg: Option<PathBuf>,
    /// Seconds from asking for a replica until it is ready.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.25, value_parser = seconds)]
    pub(crate) cold_start: f64,
    /// Milliseconds that a request takes where no file says it.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=86_400_000))]
    pub(crate) duration_ms: u64,
    /// Requests that one replica takes at once.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) target: u32,
    /// Percent of the target that a replica is meant to have.
    #[arg(long, value_name = "PERCENT", default_value_t = 70, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) utilization_percent: u32,
    /// Seconds of the stable window, and of the fixed idle window.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(6..=3600))]
    pub(crate) window: u64,
    /// Most replicas of a function.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub(crate) max: i32,
    /// Only the first so many functions of the trace. A whole day of all of them takes hours.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = positive)]
    pub(crate) functions: usize,
    /// Only the first so many minutes.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub(crate) minutes: Option<usize>,
    /// For what is drawn at random inside the minutes of a trace.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  cargo run -p scale --example replay -- --synthetic 1 --svg replay.svg
  cargo run --release -p scale --example replay -- invocations_per_function_md.anon.d01.csv \\
      --durations function_durations_percentiles.anon.d01.csv --functions 2000
  cargo run --release -p scale --example replay -- AzureFunctionsInvocationTraceForTwoWeeksJan2021.txt --minutes 1440";

impl Args {
    /// In milliseconds, at least one.
    pub(crate) fn cold_start_ms(&self) -> u64 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let milliseconds = (self.cold_start * 1000.0).round() as u64;
        milliseconds.max(1)
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.001..=600.0).contains(&seconds) { Ok(seconds) } else { Err("from 0.001 to 600 seconds".to_owned()) }
}

fn positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|number| *number > 0).ok_or_else(|| "not a whole number above 0".to_owned())
}
