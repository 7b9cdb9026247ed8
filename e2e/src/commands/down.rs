//! `cargo e2e down`.

use anyhow::Result;
use clap::Args;

use crate::node::Node;

/// End the node and remove everything it left.
///
/// Processes, mounts, network interfaces, cgroups, data and logs all go. What was built stays in the
/// cache, so the next `up` takes seconds.
#[derive(Debug, Args)]
pub(super) struct Down {}

impl Down {
    pub(super) fn run(self) -> Result<()> {
        let found = Node::down()?;
        eprintln!("{}", if found { "The node is gone." } else { "There was no node." });
        Ok(())
    }
}
