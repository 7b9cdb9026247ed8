//! The way to the activator: straight to its Service on a node of ours, through `kubectl port-forward` elsewhere.

use std::net::SocketAddr;

use anyhow::Result;

use crate::{cluster::Cluster, kube, port_forward::PortForward, scene};

/// An open way to the activator. Closes when dropped.
pub struct Entry {
    /// Where to connect.
    pub address: SocketAddr,
    forward: Option<PortForward>,
}

impl Entry {
    /// Opens the way.
    ///
    /// # Errors
    /// When Rouse is not installed or the port cannot be forwarded.
    pub fn open(cluster: &Cluster) -> Result<Self> {
        if let Cluster::Node(_) = cluster {
            let address = cluster.inside(|| {
                cluster.runtime()?.block_on(async { scene::entry(&kube::client(cluster).await?).await })
            })??;
            return Ok(Self { address, forward: None });
        }
        let forward = PortForward::open(cluster, None)?;
        Ok(Self { address: forward.address, forward: Some(forward) })
    }

    /// The host under which a function is called this way.
    pub fn host(&self, function: &str, namespace: &str) -> String {
        match self.forward {
            None => format!("{function}.{namespace}"),
            Some(_) => format!("{function}.{namespace}.localhost"),
        }
    }

    /// The same as a URL to type.
    pub fn url(&self, function: &str, namespace: &str) -> String {
        let host = self.host(function, namespace);
        match self.forward {
            None => format!("http://{host}/"),
            Some(_) => format!("http://{host}:{}/", self.address.port()),
        }
    }
}
