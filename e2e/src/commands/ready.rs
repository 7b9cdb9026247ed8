//! What several subcommands need first: a node, and Rouse on it.

use anyhow::Result;

use crate::{cluster::Cluster, install, node::Node, preflight, steps::Steps};

/// The node, up, with the images of this source tree loaded and the chart installed.
pub(super) fn with_rouse(steps: &Steps, settings: &[String]) -> Result<Cluster> {
    let node = Node::up(steps)?;
    preflight::images(steps)?;
    let cluster = Cluster::Node(Box::new(node));
    let digests = install::images(&cluster, steps)?;
    steps.run("helm upgrade --install rouse", |_| {
        install::chart_installed(&cluster, &[digests, settings.to_vec()].concat())
    })?;
    Ok(cluster)
}
