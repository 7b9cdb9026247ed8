//! Debian packages: found by the program each one brings, installed when root on Debian or Ubuntu.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::root::is_root;
use crate::steps::Steps;

/// A Debian package and a program whose presence shows that it, or its like, is there.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// The name for `apt-get install`.
    pub name: &'static str,
    /// A program that it brings.
    pub program: &'static str,
}

const fn package(name: &'static str, program: &'static str) -> Package {
    Package { name, program }
}

/// For the node: the runtime, and what kubelet, kube-proxy and the network plugins call.
pub const NODE: &[Package] = &[
    package("runc", "runc"),
    package("iptables", "iptables"),
    package("nftables", "nft"),
    package("conntrack", "conntrack"),
    package("iproute2", "ip"),
    package("ebtables", "ebtables"),
    package("socat", "socat"),
    package("util-linux", "mount"),
    package("ca-certificates", "update-ca-certificates"),
    package("curl", "curl"),
    MUSL,
];

/// For the images: a C compiler for static binaries.
pub(super) const IMAGES: &[Package] = &[MUSL];

const MUSL: Package = package("musl-tools", "musl-gcc");

/// Where programs of the system are, also for a user whose PATH leaves out `sbin`.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Installs what is missing of `wanted`, or fails with the command to type.
pub fn ensure(steps: &Steps, wanted: &[Package]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|package| find(package.program).is_none()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if !is_root() || find("apt-get").is_none() {
        bail!("these Debian packages (or your distribution's like) are missing: {list}");
    }
    let step = steps.begin(format!("Debian packages: {list}"));
    step.long("apt-get install");
    // An old or empty package list is the usual reason for a first failure.
    if install(&missing).is_err() {
        apt(&["update"])?;
        install(&missing)?;
    }
    step.done("");
    Ok(())
}

/// The path of a program of the system, if it is there.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    SYSTEM_PATH.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    let output = Command::new("apt-get")
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .output()
        .context("cannot run apt-get")?;
    if !output.status.success() {
        bail!("apt-get {} failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(())
}
