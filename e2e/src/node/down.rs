//! Ending a node. Its namespaces die with its first process, and with them every other process,
//! mount, interface and rule; cgroups and files are removed here.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cgroups;
use super::paths::Paths;
use super::state::Process;
use crate::stored;

/// Ends the node and removes what it leaves. True if there was anything. Safe to repeat.
pub(super) fn clean(paths: &Paths) -> Result<bool> {
    let found = paths.root().exists();
    stop(paths)?;
    if found {
        let root = paths.root();
        fs::remove_dir_all(root).with_context(|| format!("cannot remove {}", root.display()))?;
    }
    Ok(found)
}

/// Ends the node's processes and removes its cgroups. Files stay, logs among them.
pub(super) fn stop(paths: &Paths) -> Result<()> {
    if let Some(process) = stored::load::<Process>(&paths.state())? {
        process.kill().context("cannot end the node (root is needed)")?;
        wait(&process)?;
        cgroups::remove(&paths.cgroup())?;
    }
    Ok(())
}

/// The first process counts as running until all others in its namespace are reaped.
fn wait(process: &Process) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while process.runs() {
        if Instant::now() > deadline {
            bail!("the node's first process, {}, does not end", process.pid());
        }
        sleep(Duration::from_millis(10));
    }
    Ok(())
}
