//! Starting a node from outside: the plan on file, the first process, and its reports until it serves.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::event::Event;
use super::init;
use super::plan::Plan;
use super::{Node, down};
use crate::steps::{Step, Steps};

/// Starts a node in an empty run directory. Whatever of a failed start remains is removed, but for
/// the logs that the error quotes.
pub(super) fn start(plan: Plan, steps: &Steps) -> Result<Node> {
    std::fs::create_dir_all(plan.paths.root())?;
    plan.write()?;
    match follow(&plan, steps) {
        Ok(()) => Node::running().context("the node is gone as soon as it was up"),
        Err(error) => {
            down::stop(&plan.paths)?;
            Err(error.context("the node did not come up"))
        }
    }
}

/// Starts the first process and shows its steps. Its standard output is this process' to read: when
/// the user interrupts, the next report fails and the node goes away.
fn follow(plan: &Plan, steps: &Steps) -> Result<()> {
    let log = File::create(plan.paths.log("init"))?;
    let mut outside = Command::new(program()?)
        .args([init::COMMAND, "outside"])
        .arg(plan.paths.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .context("cannot start the node's first process")?;
    let reports = outside.stdout.take().context("no pipe")?;
    if !outside.wait()?.success() {
        let said = std::fs::read_to_string(plan.paths.log("init")).unwrap_or_default();
        bail!("{}", said.trim_end());
    }
    let mut current: Option<Step> = None;
    for line in BufReader::new(reports).lines() {
        match serde_json::from_str(&line?).context("an unknown report")? {
            Event::Step(name) => {
                finish(current.take());
                current = Some(steps.begin(name));
            }
            Event::Ready => {
                finish(current);
                return Ok(());
            }
            Event::Failed(message) => bail!("{message}"),
        }
    }
    bail!("its first process ended without a word; see {}", plan.paths.log("init").display())
}

/// The program whose hidden subcommand is the node: this one, unless this is a test or a bench, whose
/// executables cargo keeps in a folder `deps` beside it.
fn program() -> Result<PathBuf> {
    let current = std::env::current_exe()?;
    let Some(deps) = current.parent().filter(|folder| folder.ends_with("deps")) else {
        return Ok(init::OWN_PROGRAM.into());
    };
    let beside = deps.with_file_name("e2e");
    if !beside.is_file() {
        bail!("{} is not built: start the node by `cargo e2e up`", beside.display());
    }
    Ok(beside)
}

fn finish(step: Option<Step>) {
    if let Some(step) = step {
        step.done("");
    }
}
