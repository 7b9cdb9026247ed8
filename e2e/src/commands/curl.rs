//! `cargo e2e curl`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::become_program;
use crate::node::Node;
use crate::{cluster::Cluster, kube, scene};

/// Run curl inside the node's network; every host leads to the activator.
///
/// Everything after `curl` is curl's: `cargo e2e curl -i http://hello.default/`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Curl {
    /// curl's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Curl {
    pub(super) fn run(self) -> Result<()> {
        let node = Node::running()?;
        let cluster = Cluster::Node(Box::new(node.clone()));
        let entry = cluster.runtime()?.block_on(async { scene::entry(&kube::client(&cluster).await?).await })?;
        node.enter()?;
        become_program(Command::new("curl").args(["--connect-to", &format!("::{entry}")]).args(self.arguments))
    }
}
