//! `cargo e2e soak`.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use super::ready;
use crate::soak::{self, Scenario};
use crate::steps::{Steps, seconds};
use crate::stored;

/// Run for minutes on the node, and see what only shows then.
///
/// A scenario brings the node up if it is not, installs Rouse from this source tree, works in a namespace of its own, and puts
/// everything back. It ends with a table of figures and a line for each thing that had to be seen; the exit code is 1 if one of
/// them was not. Nothing else should run on the machine: times are measured.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo e2e soak --list                       what there is, and what each must show\n  cargo e2e soak steady --rehearse            a short try: does it run at all?\n  cargo e2e soak loss --json loss.json        in full, figures and time series to a file\n\nThe JSON has checks, figures with their raw numbers, what they leave out, and over time (seconds since the start): load (sent, ok, failed, in flight, latency), replicas and pods as the API server said, and what activators held and had in flight."
)]
pub(super) struct Soak {
    /// Which one.
    #[arg(value_name = "NAME", required_unless_present = "list", hide_possible_values = true, value_enum)]
    scenario: Option<Scenario>,
    /// Say which there are, what each must show, and how long it takes.
    #[arg(long, conflicts_with_all = ["scenario", "json", "rehearse"])]
    list: bool,
    /// Write checks, figures and time series there, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A small part of the repetitions: to try a scenario out. Its report says so, and proves nothing.
    #[arg(long)]
    rehearse: bool,
}

impl Soak {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Some(scenario) = self.scenario.filter(|_| !self.list) else {
            list();
            return Ok(ExitCode::SUCCESS);
        };
        if let Some(path) = &self.json {
            // Now rather than after half an hour.
            writable(path)?;
        }
        let cluster = ready::with_rouse(&Steps::new(), &[])?;
        eprintln!("{}: about {} min. It must show: {}.", scenario.name(), scenario.minutes(), scenario.about());
        let report = cluster.runtime()?.block_on(soak::run(&cluster, scenario, self.rehearse))?;
        report.print();
        if let Some(path) = &self.json {
            stored::save(path, &report)?;
            println!("\nfigures and time series: {}", path.display());
        }
        let took = seconds(Duration::from_secs_f64(report.took_seconds));
        let failed = report.checks.iter().filter(|check| !check.passed).count();
        if report.passed() {
            println!("\nseen: all {} of {} in {took}", report.checks.len(), scenario.name());
            return Ok(ExitCode::SUCCESS);
        }
        println!("\nNOT seen: {failed} of {} of {} in {took}", report.checks.len(), scenario.name());
        for check in report.checks.iter().filter(|check| !check.passed) {
            println!("  {}: {} (wanted: {})", check.what, check.seen, check.wanted);
        }
        Ok(ExitCode::FAILURE)
    }
}

/// That a report can be written there. One that is there stays until there is another.
pub(super) fn writable(path: &Path) -> Result<()> {
    let opened = OpenOptions::new().append(true).create(true).open(path);
    opened.map(drop).with_context(|| format!("cannot write {}", path.display()))
}

fn list() {
    for scenario in Scenario::value_variants() {
        println!("{:<12} {:>3} min  {}", scenario.name(), scenario.minutes(), scenario.about());
    }
    println!("\nRun one with: cargo e2e soak NAME --json FILE");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_report_stays_until_there_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let report = folder.path().join("loss.json");
        std::fs::write(&report, "{}").unwrap();
        writable(&report).unwrap();
        assert_eq!(std::fs::read_to_string(&report).unwrap(), "{}");
        let error = writable(&folder.path().join("none/loss.json")).unwrap_err();
        assert!(error.to_string().starts_with("cannot write"), "{error:#}");
    }
}
