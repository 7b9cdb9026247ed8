//! Memory of Rouse's own processes, read from the node's `/proc`.

use std::fs;

use ::kube::{Api, ResourceExt, api::ListParams};
use anyhow::{Context, Result, ensure};
use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use crate::{cluster::Cluster, install, kube};

/// Resident memory of the installation.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Each process.
    pub processes: Vec<Process>,
    /// The sum, in MiB.
    pub together_mib: f64,
}

/// One process of Rouse.
#[derive(Clone, Debug, Serialize)]
pub struct Process {
    /// Its component: operator or activator.
    pub name: String,
    /// Its pid on this machine.
    pub pid: u32,
    /// `VmRSS`, in MiB.
    pub rss_mib: f64,
}

/// Reads the resident sets of all operators and activators on the node.
///
/// # Errors
/// When one is not running, or the cluster is not this machine's node.
pub async fn measure(cluster: &Cluster) -> Result<Figures> {
    let pods: Api<Pod> = Api::namespaced(kube::client(cluster).await?, install::NAMESPACE);
    let mut processes = Vec::new();
    for component in ["operator", "activator"] {
        let selector = format!("{}={component}", labels::APP_COMPONENT);
        for pod in pods.list(&ListParams::default().labels(&selector)).await? {
            let pid = pid_of(&pod.uid().unwrap_or_default(), component)?;
            processes.push(Process { name: component.to_owned(), pid, rss_mib: rss_kib(pid)? / 1024.0 });
        }
    }
    ensure!(processes.len() >= 2, "operator and activator do not both run");
    let together_mib = processes.iter().map(|p| p.rss_mib).sum();
    Ok(Figures { processes, together_mib })
}

/// The pid, on this machine, of the process `name` of a pod.
///
/// # Errors
/// When there is none.
pub fn pid_of(pod_uid: &str, name: &str) -> Result<u32> {
    let found = processes_of(pod_uid)?.into_iter().find(|(_, its)| its == name);
    found.map(|(pid, _)| pid).with_context(|| format!("no process {name} of the pod {pod_uid} on this machine"))
}

/// Pid, on this machine, and name of each process of a pod: found by the pod's UID in their cgroups.
pub(super) fn processes_of(pod_uid: &str) -> Result<Vec<(u32, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        // systemd's cgroup driver writes a UID with underscores.
        if read("cgroup").replace('_', "-").contains(pod_uid) {
            found.push((pid, read("comm").trim().to_owned()));
        }
    }
    Ok(found)
}

/// `VmRSS` of a process, in KiB.
///
/// # Errors
/// When the process is gone.
pub fn rss_kib(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")
}
