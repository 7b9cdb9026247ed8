//! The Rust target of what goes into images.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::steps::Steps;

/// Static binaries: an image needs no file beside them.
pub const TARGET: &str = "x86_64-unknown-linux-musl";

/// Adds the target where it is missing. rustup does this by itself unless `RUSTUP_AUTO_INSTALL=0`.
pub(super) fn ensure_target(steps: &Steps) -> Result<()> {
    if installed()? {
        return Ok(());
    }
    let step = steps.begin(format!("Rust target {TARGET}"));
    step.long("rustup target add");
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .status()
        .with_context(|| format!("the Rust target {TARGET} is missing, and rustup is not in PATH to add it"))?;
    if !status.success() {
        bail!("`rustup target add {TARGET}` failed");
    }
    step.done("");
    Ok(())
}

/// Whether the target's standard library is there, whoever installed it.
fn installed() -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(crate::cache::repository())
        .output()
        .context("cannot run rustc")?;
    Ok(Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir())
}
