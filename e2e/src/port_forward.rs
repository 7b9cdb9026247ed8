//! `kubectl port-forward` to the activator, as the chart's notes and the examples have it.

use std::{
    io::{self, BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

use crate::{cluster::Cluster, install};

/// A forwarded port. It is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct PortForward {
    /// Where to connect, in the network in which the cluster's API server is reachable.
    pub(crate) address: SocketAddr,
    child: Child,
}

impl PortForward {
    /// Forwards a port of the loopback address, one of kubectl's choice without `local`. It takes connections when this returns.
    ///
    /// # Errors
    /// When Rouse is not installed, or the port is taken.
    pub(crate) fn open(cluster: &Cluster, local: Option<u16>) -> Result<Self> {
        let service = format!("service/{}", install::ACTIVATOR);
        let ports = format!("{}:80", local.map(|port| port.to_string()).unwrap_or_default());
        let mut kubectl = cluster.kubectl();
        kubectl.args(["--namespace", install::NAMESPACE, "port-forward", &service, &ports]);
        kubectl.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = cluster.inside(|| kubectl.spawn())?.context("cannot run kubectl")?;
        let (stdout, mut stderr) = (child.stdout.take(), child.stderr.take().context("kubectl has no output")?);
        let mut forward = Self { address: SocketAddr::from(([127, 0, 0, 1], 0)), child };
        let mut stdout = BufReader::new(stdout.context("kubectl has no output")?);
        let mut first = String::new();
        stdout.read_line(&mut first)?;
        // "Forwarding from 127.0.0.1:PORT -> 8080"
        let Some(address) = first.split(' ').nth(2).and_then(|word| word.parse().ok()) else {
            forward.child.kill()?;
            let mut why = String::new();
            stderr.read_to_string(&mut why)?;
            bail!("kubectl port-forward: {}", why.trim_end());
        };
        forward.address = address;
        // It goes on writing, a line for each connection and for each that broke off: were nobody to read, it would end or stop.
        thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        thread::spawn(move || io::copy(&mut stderr, &mut io::sink()));
        Ok(forward)
    }
}

impl Drop for PortForward {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
