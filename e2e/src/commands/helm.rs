//! `cargo e2e helm`.

use std::ffi::OsString;

use anyhow::Result;
use clap::Args;

use super::become_program;
use crate::node::Node;

/// Run Helm against the node, as its administrator.
///
/// Everything after `helm` is Helm's: `cargo e2e helm install rouse charts/rouse --wait`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Helm {
    /// Helm's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Helm {
    pub(super) fn run(self) -> Result<()> {
        let node = Node::running()?;
        node.enter()?;
        become_program(node.helm().args(self.arguments))
    }
}
