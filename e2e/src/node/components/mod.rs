//! The processes of a node: for each one its command line, its configuration and the reasons for both.

mod apiserver;
mod containerd;
mod controller_manager;
mod dns;
mod etcd;
mod kubelet;
mod proxy;
mod scheduler;

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::plan::Plan;

pub(crate) use dns::service as dns_service;
pub(crate) use kubelet::RESOLV_CONF;

/// A process of the node, in the order of their start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Component {
    /// The store of the API server.
    Etcd,
    /// The container runtime.
    Containerd,
    /// The API server.
    Apiserver,
    /// The controllers of Deployments, ReplicaSets, namespaces and the rest.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The node agent.
    Kubelet,
    /// Service addresses.
    Proxy,
    /// The cluster's name server.
    Dns,
}

impl Component {
    /// All of them, in the order of their start.
    pub const ALL: [Self; 8] = [
        Self::Etcd,
        Self::Containerd,
        Self::Apiserver,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubelet,
        Self::Proxy,
        Self::Dns,
    ];

    /// Its name on the command line, and that of its log file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Containerd => "containerd",
            Self::Apiserver => "apiserver",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kubelet => "kubelet",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
        }
    }

    /// What starts it.
    pub(crate) fn command(self, plan: &Plan) -> Command {
        match self {
            Self::Etcd => etcd::command(plan),
            Self::Containerd => containerd::command(plan),
            Self::Apiserver => apiserver::command(plan),
            Self::ControllerManager => controller_manager::command(plan),
            Self::Scheduler => scheduler::command(plan),
            Self::Kubelet => kubelet::command(plan),
            Self::Proxy => proxy::command(plan),
            Self::Dns => dns::command(plan),
        }
    }

    /// Writes its configuration files, if it has any.
    pub(crate) fn configure(self, plan: &Plan) -> Result<()> {
        match self {
            Self::Containerd => containerd::configure(plan),
            Self::Apiserver => apiserver::configure(plan),
            Self::Kubelet => kubelet::configure(plan),
            Self::Proxy => proxy::configure(plan),
            Self::Dns => dns::configure(plan),
            Self::Etcd | Self::ControllerManager | Self::Scheduler => Ok(()),
        }
    }
}

/// Writes a configuration file. JSON is YAML, so every component reads it.
fn write_json(plan: &Plan, file: &str, content: &Value) -> Result<()> {
    write_text(plan, file, &serde_json::to_string_pretty(content)?)
}

fn write_text(plan: &Plan, file: &str, content: &str) -> Result<()> {
    let path = plan.paths.config(file);
    fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// `--name=value` for any value that prints.
fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

/// `--name=path`.
fn path_flag(name: &str, path: impl AsRef<std::path::Path>) -> String {
    flag(name, path.as_ref().display())
}
