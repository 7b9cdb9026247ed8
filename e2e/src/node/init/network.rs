//! The node's network: loopback, and a veth pair that carries its address. Dummy, ipvlan and the
//! like are missing from some kernels; veth is not, since pods need it too.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::node::address::{GATEWAY, NODE_IP};
use crate::preflight::find;

/// Sets it up. Traffic that leaves through the default route goes nowhere.
pub(super) fn create() -> Result<()> {
    ip(&format!(
        "link set lo up\n\
         link add node0 type veth peer name wall0\n\
         addr add {NODE_IP}/24 dev node0\n\
         link set node0 up\n\
         link set wall0 up\n\
         route add default via {GATEWAY} dev node0\n"
    ))?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("cannot forward between pods")
}

/// Runs `ip` commands, one a line.
fn ip(batch: &str) -> Result<()> {
    let program = find("ip").context("`ip` is not installed (package iproute2)")?;
    let mut child = Command::new(program)
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(batch.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("cannot set up the network: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
