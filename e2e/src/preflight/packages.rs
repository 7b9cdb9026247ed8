//! Debian packages: found by the program each one brings, installed when root on Debian or Ubuntu.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::no_start::{NoStart, POLICY};
use super::root::is_root;
use crate::steps::Steps;

/// A Debian package and a program whose presence shows that it, or its like, is there.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    /// The name for `apt-get install`.
    pub name: &'static str,
    /// A program that it brings.
    pub program: &'static str,
    /// Whether it brings a service, which is neither started nor left to start with the machine.
    service: bool,
}

const fn package(name: &'static str, program: &'static str) -> Package {
    Package { name, program, service: false }
}

/// Of a package that brings a service of the same name.
const fn server(name: &'static str) -> Package {
    Package { name, program: name, service: true }
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

/// For the bench of proxies: two of them, and a load generator.
pub(super) const PROXIES: &[Package] = &[server("nginx"), server("haproxy"), package("nghttp2-client", "h2load")];

/// For the bench of frameworks: what asks the registries, and a load generator.
pub(super) const FRAMEWORKS: &[Package] =
    &[package("python3-pip", "pip3"), package("npm", "npm"), package("nghttp2-client", "h2load")];

/// For the differential test: those that are Debian's.
pub(super) const READERS: &[Package] =
    &[server("nginx"), server("haproxy"), package("nodejs", "node"), package("gunicorn", "gunicorn")];

/// For the runtimes' own tests.
pub(super) const RUNTIMES: &[Package] = &[package("python3", "python3"), package("nodejs", "node")];

/// For the commands of examples and docs.
pub(super) const PAGES: &[Package] = &[package("node-ws", "wscat")];

const MUSL: Package = package("musl-tools", "musl-gcc");

/// Where programs of the system are, also for a user whose PATH leaves out `sbin`.
pub(crate) const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Installs what is missing of `wanted`, or fails with the command to type. Starts no service.
pub fn ensure(steps: &Steps, wanted: &[Package]) -> Result<()> {
    let missing: Vec<&Package> = wanted.iter().filter(|package| find(package.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let list = names.join(" ");
    if !is_root() || find("apt-get").is_none() {
        bail!("these Debian packages (or your distribution's like) are missing: {list}");
    }
    let step = steps.begin(format!("Debian packages: {list}"));
    step.long("apt-get install");
    let quiet = NoStart::begin(Path::new(POLICY))?;
    // An old or empty package list is the usual reason for a first failure.
    if install(&names).is_err() {
        apt(&["update"])?;
        install(&names)?;
    }
    drop(quiet);
    for package in missing.iter().filter(|package| package.service) {
        run("update-rc.d", &[package.name, "disable"])?;
    }
    step.done("");
    Ok(())
}

/// The path of a program of the system, if it is there.
pub fn find(program: &str) -> Option<PathBuf> {
    SYSTEM_PATH.split(':').map(|folder| PathBuf::from(folder).join(program)).find(|path| path.is_file())
}

fn install(packages: &[&str]) -> Result<()> {
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn apt(arguments: &[&str]) -> Result<()> {
    run("apt-get", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        // `update-rc.d` is in `sbin`.
        .env("PATH", SYSTEM_PATH)
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} failed:\n{}", arguments.join(" "), said.trim_end());
    }
    Ok(())
}
