//! One run: a load on one server, and what came of it in a window of time well inside the load, so that neither connecting nor
//! ending counts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use super::Load;
use super::command::{self, Sample};
use super::figures::Figures;
use super::usage::Processes;
use crate::bench::stats::rank;

/// The load after it: as much as this process may be late.
const AFTER: Duration = Duration::from_millis(150);
/// How often a run is taken again when the load ended before the window did: the machine stood still.
const AGAIN: usize = 3;
/// How long the load generator may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// The load generator.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Generator<'a> {
    pub(in crate::bench) program: &'a Path,
    /// The name by which the function is asked for.
    pub(in crate::bench) host: &'a str,
    /// How long the load is on before the window.
    pub(in crate::bench) warm_up: Duration,
    /// How long the window is.
    pub(in crate::bench) measured: Duration,
}

impl Generator<'_> {
    /// One run. `pod` is the UID of the pod whose processes are measured, if any are.
    ///
    /// # Errors
    /// When a request failed, or the server or the load generator ended early.
    pub(in crate::bench) async fn run(&self, address: SocketAddr, pod: Option<&str>, load: &Load) -> Result<Figures> {
        for _ in 0..AGAIN {
            if let Some(figures) = self.take(address, pod, load).await? {
                return Ok(figures);
            }
        }
        bail!("{AGAIN} times this machine stood still for longer than {AFTER:?}")
    }

    /// The same; `None` when the load ended before the window did.
    async fn take(&self, address: SocketAddr, pod: Option<&str>, load: &Load) -> Result<Option<Figures>> {
        let folder = tempfile::tempdir()?;
        let log = folder.path().join("log");
        let processes = pod.map(Processes::of_pod).transpose()?;
        let child = Command::new(self.program)
            .args(command::arguments(load, address, self.host, self.warm_up + self.measured + AFTER, &log))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        sleep(self.warm_up).await;
        let begin = Reading::take(processes.as_ref())?;
        sleep(self.measured).await;
        let end = Reading::take(processes.as_ref())?;
        let memory = processes.as_ref().map(Processes::memory_kib).transpose()?;
        let output = timeout(PATIENCE, child.wait_with_output()).await.context("h2load does not end")??;
        let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.success(), "h2load: {}\n{printed}", output.status);
        command::check(&printed, load)?;
        let samples = command::samples(&fs::read_to_string(&log).context("h2load wrote no log")?)?;
        figures(&samples, begin, end, memory)
    }
}

/// A moment of a run.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// In microseconds since 1970, as the load generator counts.
    at_us: u64,
    cpu: Option<Duration>,
}

impl Reading {
    fn take(processes: Option<&Processes>) -> Result<Self> {
        let at_us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros().try_into()?;
        Ok(Self { at_us, cpu: processes.map(Processes::cpu).transpose()? })
    }
}

/// Of the requests that ended between the two moments. `None` when the load ended before the second.
fn figures(samples: &[Sample], begin: Reading, end: Reading, memory_kib: Option<u64>) -> Result<Option<Figures>> {
    if samples.iter().all(|sample| sample.ended_us <= end.at_us) {
        return Ok(None);
    }
    let inside = samples.iter().filter(|sample| (begin.at_us + 1..=end.at_us).contains(&sample.ended_us));
    let mut took: Vec<u64> = inside.map(|sample| sample.took_us).collect();
    took.sort_unstable();
    let (Some(p50), Some(p99)) = (rank(&took, 50), rank(&took, 99)) else { bail!("no request ended in the window") };
    let count = took.len() as f64;
    let cpu = begin.cpu.zip(end.cpu).map(|(begin, end)| (end - begin).as_secs_f64() * 1e6 / count);
    Ok(Some(Figures {
        rps: count * 1e6 / (end.at_us - begin.at_us) as f64,
        p50_us: p50 as f64,
        p99_us: p99 as f64,
        mean_us: took.iter().sum::<u64>() as f64 / count,
        cpu_us: cpu,
        rss_kib: memory_kib.map(|kib| kib as f64),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(ended_us: u64, took_us: u64) -> Sample {
        Sample { ended_us, took_us }
    }

    fn reading(at_us: u64, cpu_us: Option<u64>) -> Reading {
        Reading { at_us, cpu: cpu_us.map(Duration::from_micros) }
    }

    #[test]
    fn what_ended_in_the_window_counts() {
        // The log is in the order in which requests ended on each connection, not over all.
        let samples = [sample(1_000, 900), sample(1_001, 10), sample(2_001, 5), sample(2_000, 30), sample(1_500, 20)];
        let seen = figures(&samples, reading(1_000, Some(40)), reading(2_000, Some(100)), Some(7)).unwrap().unwrap();
        assert_eq!(
            seen,
            Figures { rps: 3_000.0, p50_us: 20.0, p99_us: 30.0, mean_us: 20.0, cpu_us: Some(20.0), rss_kib: Some(7.0) }
        );
    }

    #[test]
    fn without_a_pod_nothing_is_spent() {
        let seen = figures(&[sample(5, 1), sample(11, 1)], reading(0, None), reading(10, None), None).unwrap().unwrap();
        assert_eq!((seen.rps, seen.cpu_us, seen.rss_kib), (100_000.0, None, None));
    }

    #[test]
    fn a_window_past_the_load_is_no_measurement() {
        let samples = [sample(5, 1), sample(9, 1)];
        assert_eq!(figures(&samples, reading(0, None), reading(10, None), None).unwrap(), None);
        let stalled = figures(&[sample(11, 1)], reading(0, None), reading(10, None), None);
        assert!(stalled.unwrap_err().to_string().contains("no request"));
    }
}
