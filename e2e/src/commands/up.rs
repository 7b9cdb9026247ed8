//! `cargo e2e up`.

use std::time::Instant;

use anyhow::Result;
use clap::Args;

use crate::node::Node;
use crate::steps::{Steps, seconds};

/// Bring the node up, or say that it is.
///
/// The first time on a machine it installs missing Debian packages and builds Kubernetes, containerd,
/// CoreDNS and Helm from source, which takes about ten minutes on two cores. After that it takes seconds.
#[derive(Debug, Args)]
pub(super) struct Up {}

impl Up {
    pub(super) fn run(self) -> Result<()> {
        let began = Instant::now();
        if let Some(node) = Node::find()? {
            node.check()?;
            eprintln!("The node is up already.");
        } else {
            Node::up(&Steps::new())?;
            eprintln!("The node is up after {}.", seconds(began.elapsed()));
        }
        eprintln!("Try: cargo e2e kubectl get pods --all-namespaces");
        Ok(())
    }
}
