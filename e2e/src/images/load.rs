//! Bringing archives onto a node.

use std::process::{Command, Output};

use anyhow::{Context, Result, bail};

use super::Archive;
use crate::node::Node;

/// Imports an archive into the node's containerd. True if it was not there yet, by its digest.
pub fn load(node: &Node, archive: &Archive) -> Result<bool> {
    if digest(node, &archive.reference)?.is_some_and(|digest| digest == archive.digest) {
        return Ok(false);
    }
    run(node, node.ctr().args(["images", "import"]).arg(&archive.path))?;
    Ok(true)
}

/// The digest of an image on the node. The line reads: name, type, digest, size, platforms, labels.
fn digest(node: &Node, reference: &str) -> Result<Option<String>> {
    let output = run(node, node.ctr().args(["images", "ls", &format!("name=={reference}")]))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(reference));
    Ok(line.and_then(|line| line.split_whitespace().nth(2)).map(str::to_owned))
}

fn run(node: &Node, command: &mut Command) -> Result<Output> {
    let output = node.inside(|| command.output())?.with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output)
}
