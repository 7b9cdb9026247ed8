//! `cargo e2e helm`.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use super::become_program;
use crate::cache::Cache;
use crate::node::Node;
use crate::parts::Tools;
use crate::steps::Steps;

/// Run Helm against the node, as its administrator.
///
/// Everything after `helm` is Helm's: `cargo e2e helm install rouse charts/rouse --wait`. Without a node it does what needs
/// no cluster, such as `cargo e2e helm lint charts/rouse`.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct Helm {
    /// Helm's own arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Helm {
    pub(super) fn run(self) -> Result<()> {
        let Some(node) = Node::find()? else {
            let helm = Tools::only_helm(&Cache::open()?, &Steps::new())?;
            return become_program(Command::new(helm).args(self.arguments));
        };
        node.enter()?;
        become_program(node.helm().args(self.arguments))
    }
}
