//! `go build` of one part into the cache.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Part, digest};
use crate::cache::{Cache, repository};
use crate::steps::{Step, Steps};

/// The folder of the part's programs: found in the cache, or built and moved there in one step, so
/// that an interrupted build leaves nothing that looks whole.
pub(super) fn cached(part: &Part, cache: &Cache, steps: &Steps) -> Result<PathBuf> {
    let source = repository().join("e2e").join(part.source);
    let arguments = arguments(part);
    let mut words = arguments.clone();
    words.push(output(go(&source).args(["env", "GOVERSION", "GOOS", "GOARCH"]))?);
    let folder = cache.parts().join(format!("{}-{}", part.name, digest::of(&source, &words)?));
    if folder.is_dir() {
        return Ok(folder);
    }

    let step = steps.begin(format!("building {}", part.label));
    step.long("once per version and machine");
    step.of(count_stale(&source, part)?);
    let partial = folder.with_extension("partial");
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial)?;
    build(&source, &arguments, &partial, &step)?;
    fs::rename(&partial, &folder)?;
    step.done("");
    Ok(folder)
}

/// All that follows `go build`, but for the place of the output.
fn arguments(part: &Part) -> Vec<String> {
    let versions: String = part.versions.iter().map(|(name, value)| format!(" -X {name}={value}")).collect();
    ["-trimpath", "-buildvcs=false", "-mod=readonly", &format!("-ldflags=-s -w{versions}"), part.packages]
        .map(str::to_owned)
        .to_vec()
}

/// How many packages the build will compile: what the bar counts to. Downloads what is missing.
fn count_stale(source: &Path, part: &Part) -> Result<u64> {
    let list = ["list", "-trimpath", "-deps", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", part.packages];
    Ok(output(go(source).args(list))?.lines().count() as u64)
}

/// `-v` prints the name of each package as it is compiled; everything else on standard error is kept
/// for the case that the build fails.
fn build(source: &Path, arguments: &[String], into: &Path, step: &Step) -> Result<()> {
    let mut child = go(source)
        .args(["build", "-v", "-o"])
        .arg(into.join(""))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run go")?;
    let mut said = Vec::new();
    for line in child.stderr.take().into_iter().flat_map(|stderr| BufReader::new(stderr).lines()) {
        let line = line?;
        step.advance();
        step.at(line.clone());
        said.push(line);
    }
    if !child.wait()?.success() {
        let last = said.len().saturating_sub(20);
        bail!("go build in {} failed:\n{}", source.display(), said[last..].join("\n"));
    }
    Ok(())
}

/// A Go command that depends on nothing but the module: no cgo, no workspace, no flags from outside.
fn go(source: &Path) -> Command {
    let mut command = Command::new("go");
    command.current_dir(source).env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "");
    command
}

/// Standard output of a command that succeeded.
fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        let mut said = String::new();
        output.stderr.as_slice().read_to_string(&mut said)?;
        bail!("{command:?} failed:\n{}", said.trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
