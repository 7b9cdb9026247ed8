//! The way to the activator: straight to its Service on a node of ours, through `kubectl port-forward` elsewhere.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::{Context, Result};

use crate::{cluster::Cluster, install, kube, scene};

/// An open way to the activator. Closes when dropped.
pub struct Entry {
    /// Where to connect.
    pub address: SocketAddr,
    forward: Option<Child>,
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
        let mut child = cluster
            .kubectl()
            .args([
                "--namespace",
                install::NAMESPACE,
                "port-forward",
                &format!("service/{}", install::ACTIVATOR),
                ":80",
            ])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run kubectl")?;
        let stdout = child.stdout.take().context("kubectl has no output")?;
        let mut first = String::new();
        BufReader::new(stdout).read_line(&mut first)?;
        // "Forwarding from 127.0.0.1:PORT -> 8080"
        let address = first.split(' ').nth(2).and_then(|word| word.parse().ok());
        let address = address.with_context(|| format!("kubectl port-forward said {first:?}"))?;
        Ok(Self { address, forward: Some(child) })
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

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(child) = &mut self.forward {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
