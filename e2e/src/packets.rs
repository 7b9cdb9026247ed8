//! Packets that are lost on their way between a pod and a port of others, by rules of nftables in the pod's own network; and
//! pods that have no network at all.

use std::{
    io::{Seek, Write},
    process::{Command, Stdio},
};

use ::kube::ResourceExt;
use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use crate::{node::Network, preflight::find, rouse::processes};

/// The table with the rules. Nobody else has one of that name, so it may be replaced and deleted as a whole.
const TABLE: &str = "inet rouse_e2e";
/// What the container runtime calls a pod's interface.
const INTERFACE: &str = "eth0";
/// The table's counter.
const COUNTER: &str = "lost";

/// Loses packets of a pod until it is dropped. A pod that goes takes the rules with it.
#[must_use = "the packets arrive again when it is dropped"]
#[derive(Debug)]
pub struct Lossy {
    network: Network,
    port: u16,
}

impl Lossy {
    /// So many percent, each packet by its own chance, of what the pod sends to this TCP port of others and of what it gets
    /// from there.
    ///
    /// # Errors
    /// When the pod has no processes on this machine, or the kernel does not take the rules.
    pub fn start(pod: &Pod, port: u16, percent: u8) -> Result<Self> {
        let lossy = Self { network: network(pod)?, port };
        lossy.set(percent)?;
        Ok(lossy)
    }

    /// So many percent from now on; [`Self::lost`] counts from zero again.
    ///
    /// # Errors
    /// As [`Self::start`]; also when `percent` is none.
    pub fn set(&self, percent: u8) -> Result<()> {
        self.nft(&["--file", "-"], &rules(self.port, percent)?).map(drop)
    }

    /// How many packets were lost.
    ///
    /// # Errors
    /// When the rules are gone.
    pub fn lost(&self) -> Result<u64> {
        let list = format!("list counter {TABLE} {COUNTER}");
        packets(&self.nft(&["--json", &list], "")?)
    }

    /// Takes the rules away, as dropping does, and says whether that is done.
    ///
    /// # Errors
    /// When it is not.
    pub fn heal(self) -> Result<()> {
        self.clear()
    }

    fn clear(&self) -> Result<()> {
        // A table that is not there is made first: twice is as good as once.
        self.nft(&["--file", "-"], &format!("add table {TABLE}\ndelete table {TABLE}\n")).map(drop)
    }

    /// Runs `nft` in the pod's network, with `input` on its standard input. Gives what it printed.
    fn nft(&self, arguments: &[&str], input: &str) -> Result<String> {
        let program = find("nft").context("`nft` is not installed (package nftables)")?;
        self.network.inside(|| {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(input.as_bytes())?;
            }
            let output = child.wait_with_output()?;
            if !output.status.success() {
                bail!("nft failed: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        })?
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            eprintln!("packets are still lost in a pod: {error:#}");
        }
    }
}

/// A pod whose network interface is down until this is dropped: nothing comes from it, and nobody is told.
#[must_use = "the interface is up again when it is dropped"]
#[derive(Debug)]
pub struct Vanished {
    network: Network,
    /// What `ip route save` gave: the kernel forgets the routes of an interface that is down.
    routes: Vec<u8>,
}

impl Vanished {
    /// Takes the interface down.
    ///
    /// # Errors
    /// When the pod has no processes on this machine, or the kernel does not let it.
    pub fn start(pod: &Pod) -> Result<Self> {
        let mut vanished = Self { network: network(pod)?, routes: Vec::new() };
        vanished.routes = vanished.ip(&["route", "save", "dev", INTERFACE], &[])?;
        vanished.ip(&["link", "set", "dev", INTERFACE, "down"], &[])?;
        Ok(vanished)
    }

    fn back(&self) -> Result<()> {
        self.ip(&["link", "set", "dev", INTERFACE, "up"], &[])?;
        // In the place of the one that the kernel makes of the address.
        self.ip(&["route", "flush", "dev", INTERFACE], &[])?;
        self.ip(&["route", "restore"], &self.routes)?;
        Ok(())
    }

    /// What `ip` says in the pod's network, given `input`, which it wants in a file.
    fn ip(&self, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
        let program = find("ip").context("`ip` is not installed (package iproute2)")?;
        let mut file = tempfile::tempfile()?;
        file.write_all(input)?;
        file.rewind()?;
        let output = self.network.inside(|| Command::new(program).args(arguments).stdin(file).output())??;
        ensure!(
            output.status.success(),
            "ip {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(output.stdout)
    }
}

impl Drop for Vanished {
    fn drop(&mut self) {
        if let Err(error) = self.back() {
            eprintln!("a pod's interface is still down: {error:#}");
        }
    }
}

fn network(pod: &Pod) -> Result<Network> {
    let processes = processes(&pod.uid().context("a pod without a UID")?)?;
    let process = processes.first().with_context(|| format!("the pod {} has no processes", pod.name_any()))?;
    Network::of(process.as_raw())
}

/// Takes the place of earlier rules at once. A lost packet that the pod sends is one that its kernel could not send, and
/// tries again.
fn rules(port: u16, percent: u8) -> Result<String> {
    ensure!((1..=100).contains(&percent), "{percent} is no percentage of packets");
    let lose = format!("numgen random mod 100 <= {} counter name {COUNTER} drop", percent - 1);
    Ok(format!(
        "add table {TABLE}
delete table {TABLE}
table {TABLE} {{
    counter {COUNTER} {{
    }}
    chain in {{
        type filter hook input priority 0
        tcp sport {port} {lose}
    }}
    chain out {{
        type filter hook output priority 0
        tcp dport {port} {lose}
    }}
}}
"
    ))
}

/// Reads a listed counter.
fn packets(listed: &str) -> Result<u64> {
    let listed: Value = serde_json::from_str(listed)?;
    let objects = listed["nftables"].as_array().into_iter().flatten();
    let counter = objects.filter_map(|object| object["counter"]["packets"].as_u64()).next();
    counter.with_context(|| format!("no counter in {listed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_lose_as_much() {
        let rules = rules(9443, 30).unwrap();
        for way in ["sport", "dport"] {
            let rule = format!("tcp {way} 9443 numgen random mod 100 <= 29 counter name lost drop\n");
            assert_eq!(rules.matches(&rule).count(), 1, "{rules}");
        }
        assert!(super::rules(9443, 100).unwrap().contains(" <= 99 "));
        for percent in [0, 101] {
            assert!(super::rules(9443, percent).is_err());
        }
    }

    #[test]
    fn a_counter_is_read() {
        let listed = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}},
            {"counter": {"family": "inet", "name": "lost", "table": "rouse_e2e", "packets": 44, "bytes": 3588}}]}"#;
        assert_eq!(packets(listed).unwrap(), 44);
        assert!(packets(r#"{"nftables": []}"#).is_err());
    }
}
