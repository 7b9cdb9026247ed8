//! The image of every pod's sandbox, without which no pod starts.
//!
//! It is a part of the node like the Go parts, and cached like them: an `up` then neither compiles Rust
//! nor waits for whoever does.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Archive, Image, archive, compile};
use crate::cache::{Cache, repository};
use crate::parts::digest;
use crate::steps::Steps;

/// The archive, from the cache or built into it.
pub(crate) fn sandbox(cache: &Cache, steps: &Steps) -> Result<Archive> {
    let source = repository().join("e2e/apps/pause");
    let folder = cache.parts().join(format!("pause-{}", digest::of(&source, &[compiler()?])?));
    if let Some(archive) = Archive::kept(&folder)? {
        return Ok(archive);
    }
    let step = steps.begin("building the sandbox image");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let target = tempfile::tempdir_in(&folder)?;
    let image = Image::pause();
    let package = image.package().context("the sandbox is no program")?;
    let binaries = compile::release(&[package], Some(target.path()), &step)?;
    let binary = binaries.get(package).context("the sandbox has no binary")?;
    let archive = archive::pack(&image, binary, &folder)?;
    archive.keep(&folder)?;
    step.done("");
    Ok(archive)
}

fn compiler() -> Result<String> {
    let output =
        Command::new("rustc").arg("--version").current_dir(repository()).output().context("cannot run rustc")?;
    Ok(String::from_utf8(output.stdout)?)
}
