//! Which cluster the demo, the tests and the benches use: the node of `cargo e2e up`, or one of the
//! user's own by its kubeconfig context.

use std::process::Command;

use anyhow::Result;
use tokio::runtime::Runtime;

use crate::node::Node;

/// A cluster to work with.
#[derive(Clone, Debug)]
pub enum Cluster {
    /// The node of this machine. Its network is entered by whoever talks to it.
    Node(Box<Node>),
    /// A context of the user's kubeconfig, reached with the user's own kubectl and helm.
    Context(String),
}

impl Cluster {
    /// The named context, else the running node.
    pub fn select(context: Option<&str>) -> Result<Self> {
        match context {
            Some(name) => Ok(Self::Context(name.to_owned())),
            None => Ok(Self::Node(Box::new(Node::running()?))),
        }
    }

    /// kubectl for this cluster. For the node it must be started inside its network: [`Cluster::inside`].
    pub fn kubectl(&self) -> Command {
        match self {
            Self::Node(node) => node.kubectl(),
            Self::Context(name) => with("kubectl", "--context", name),
        }
    }

    /// Helm for this cluster, likewise.
    pub fn helm(&self) -> Command {
        match self {
            Self::Node(node) => node.helm(),
            Self::Context(name) => with("helm", "--kube-context", name),
        }
    }

    /// Moves the current thread to where the cluster's API server is reachable.
    pub fn enter(&self) -> Result<()> {
        match self {
            Self::Node(node) => node.enter(),
            Self::Context(_) => Ok(()),
        }
    }

    /// Runs `work` where the cluster's API server is reachable.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        match self {
            Self::Node(node) => node.inside(work),
            Self::Context(_) => Ok(work()),
        }
    }

    /// A tokio runtime whose threads reach the cluster's API server, the current thread included.
    pub fn runtime(&self) -> Result<Runtime> {
        match self {
            Self::Node(node) => node.runtime(),
            Self::Context(_) => Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?),
        }
    }
}

fn with(program: &str, flag: &str, value: &str) -> Command {
    let mut command = Command::new(program);
    command.args([flag, value]);
    command
}
