//! Static release binaries by cargo.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;

use crate::cargo::cargo;
use crate::preflight::TARGET;
use crate::steps::Step;

/// Builds `packages` and gives the path of each one's binary. A release build for another target
/// shares no folder with a developer's debug builds, so neither throws the other's work away; a folder
/// of its own for `target` also spares it waiting for another release build.
pub(super) fn release(packages: &[&str], target: Option<&Path>, step: &Step) -> Result<BTreeMap<String, PathBuf>> {
    let mut command = cargo();
    command.args(["build", "--release", "--quiet", "--target", TARGET, "--message-format=json-render-diagnostics"]);
    for package in packages {
        command.args(["--package", package]);
    }
    if let Some(folder) = target {
        command.arg("--target-dir").arg(folder);
    }
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut errors = child.stderr.take().context("no pipe")?;
    // Read beside standard output, or a long error would fill the pipe and stop the build.
    let errors = thread::spawn(move || {
        let mut said = Vec::new();
        errors.read_to_end(&mut said).map(|_| said)
    });
    let mut binaries = BTreeMap::new();
    for line in BufReader::new(child.stdout.take().context("no pipe")?).lines() {
        let Ok(message) = serde_json::from_str::<Artifact>(&line?) else { continue };
        step.at(message.target.name.clone());
        if let Some(path) = message.executable {
            binaries.insert(message.target.name, path);
        }
    }
    let said = errors.join().map_err(|_| anyhow!("cannot read cargo's errors"))??;
    if !child.wait()?.success() {
        bail!("cargo build failed:\n{}", String::from_utf8_lossy(&said).trim_end());
    }
    Ok(binaries)
}

/// One line of cargo's JSON that reports a finished crate.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
