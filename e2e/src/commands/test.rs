//! `cargo e2e test`.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use super::ready;
use crate::cache::Cache;
use crate::cargo::cargo;
use crate::node::Node;
use crate::steps::{Steps, seconds};
use crate::{pages, parts, preflight};

/// Run every test: unit, property, mock API server, model checks, and black box on a real node.
///
/// Brings the node up and installs Rouse first. A node that it brought up it takes down again.
#[derive(Debug, Args)]
pub(super) struct Test {
    /// Only the tests that need no node.
    #[arg(long)]
    unit: bool,
    /// Leave the node up.
    #[arg(long)]
    keep: bool,
    /// Only tests whose name contains this.
    filter: Option<String>,
}

/// Arguments of `cargo test` for each stage that needs no node.
const UNIT: &[(&str, &[&str])] = &[
    ("unit, property and mock-API-server tests", &["--workspace", "--exclude", "e2e", "--features", "activator/otel"]),
    ("end-to-end tools", &["--package", "e2e", "--lib"]),
    ("the same bytes, read by five servers", &["--package", "e2e", "--test", "differential"]),
    ("the servers of the runtimes", &["--package", "e2e", "--test", "runtimes"]),
    (MODEL_CHECKS, &["--package", "activator", "--lib", "--release", "--target-dir", "target/loom"]),
];

/// These tests are marked `#[ignore]`: they need a program of Go's, and its path in this variable.
const CONFORMANCE: (&str, &[&str], &str) =
    ("conformance to HTTP/2", &["--package", "activator", "--lib"], "ROUSE_H2SPEC");

/// This stage is compiled with `--cfg loom`, in a target folder of its own.
const MODEL_CHECKS: &str = "model checks of the pod table";

/// And on the node: what runs side by side, then what touches the installation itself.
const NODE: &[(&str, &[&str], &[&str])] = &[
    ("black box, side by side", &["--package", "e2e", "--test", "node"], &["--test-threads=16"]),
    ("black box, one by one", &["--package", "e2e", "--test", "disruptive"], &["--test-threads=1"]),
];

#[derive(Default)]
struct Tally {
    passed: u64,
    failed: u64,
    broken: Vec<&'static str>,
}

impl Test {
    pub(super) fn run(self) -> Result<ExitCode> {
        let began = Instant::now();
        let mut tally = Tally::default();
        for (what, arguments) in UNIT {
            let env = (*what == MODEL_CHECKS).then(|| ("RUSTFLAGS", "--cfg loom".into()));
            tally.stage(what, arguments, &self.behind(&[]), env)?;
        }
        self.conformance(&mut tally)?;
        if !self.unit {
            let was_up = Node::find()?.is_some();
            let on_node = self.on_node(&mut tally);
            if !was_up && !self.keep {
                Node::down()?;
            }
            on_node?;
        }
        println!("\n{} passed, {} failed", tally.passed, tally.failed);
        println!("after {}", seconds(began.elapsed()));
        if tally.broken.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!("not green: {}", tally.broken.join("; "));
        Ok(ExitCode::FAILURE)
    }

    fn conformance(&self, tally: &mut Tally) -> Result<()> {
        let (what, arguments, variable) = CONFORMANCE;
        preflight::conformance()?;
        let cache = Cache::open()?;
        let lock = cache.lock()?;
        let program = parts::h2spec(&cache, &Steps::new())?;
        drop(lock);
        tally.stage(what, arguments, &self.behind(&["--ignored"]), Some((variable, program.into())))
    }

    fn on_node(&self, tally: &mut Tally) -> Result<()> {
        ready::with_rouse(&Steps::new(), &[])?;
        // Not beside tests that look at the clock.
        pages::clients(&Steps::new())?;
        for (what, arguments, harness) in NODE {
            tally.stage(what, arguments, &self.behind(harness), None)?;
        }
        Ok(())
    }

    /// What stands behind `--`: the harness' own arguments.
    fn behind(&self, harness: &[&str]) -> Vec<String> {
        let harness = harness.iter().map(|argument| (*argument).to_owned());
        harness.chain(self.filter.clone()).collect()
    }
}

impl Tally {
    /// Runs `cargo test`, shows what it prints, and counts. A failure does not keep later stages from running.
    fn stage(
        &mut self,
        what: &'static str,
        arguments: &[&str],
        behind: &[String],
        env: Option<(&str, OsString)>,
    ) -> Result<()> {
        println!("\n=== {what}");
        let mut child = cargo()
            .args(["test", "--quiet", "--locked", "--no-fail-fast"])
            .args(arguments)
            .envs(env)
            .arg("--")
            .args(behind)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run cargo")?;
        for line in child.stdout.take().into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
            let line = line?;
            println!("{line}");
            if let Some(result) = line.strip_prefix("test result: ") {
                self.passed += count(result, "passed");
                self.failed += count(result, "failed");
            }
        }
        if !child.wait()?.success() {
            self.broken.push(what);
        }
        Ok(())
    }
}

/// The number before `word` in libtest's closing line.
fn count(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';', '.']).filter(|w| !w.is_empty()).collect();
    let place = words.iter().position(|w| *w == word);
    place.and_then(|i| words.get(i.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::count;

    #[test]
    fn the_closing_line_is_read() {
        let line = "FAILED. 7 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!((count(line, "passed"), count(line, "failed")), (7, 2));
        assert_eq!(count("ok.", "passed"), 0);
    }
}
