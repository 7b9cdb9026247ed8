//! `cargo e2e kubectl`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::become_program;
use crate::node::Node;

/// Run kubectl against the node, as its administrator.
///
/// Everything after `kubectl` is kubectl's, files and standard input included:
/// `cargo e2e kubectl apply -f examples/hello-image/`. A port that `port-forward` opens is inside the
/// node's network, like everything else there.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Kubectl {
    /// kubectl's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Kubectl {
    pub(super) fn run(self) -> Result<()> {
        let node = Node::running()?;
        node.enter()?;
        become_program(node.kubectl().args(self.arguments))
    }
}
