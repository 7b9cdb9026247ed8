//! Namespaces, mounts and cgroups of a node are root's to make.

use anyhow::{Result, bail};
use nix::unistd::Uid;

/// Whether this process runs as root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// Says how to become root without building the workspace as root.
pub(super) fn require() -> Result<()> {
    if !is_root() {
        bail!(
            "the node needs root for its namespaces and cgroups. Run it as root, or let cargo start it through sudo:\n\
             \n    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER='sudo -E' cargo e2e up\n"
        );
    }
    Ok(())
}
