//! What a node is made of: settled before it starts, written down for its first process and for
//! every later invocation.

use std::process::Command;

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::components::Component;
use super::paths::Paths;
use super::{pki, users};
use crate::parts::Tools;
use crate::preflight::SYSTEM_PATH;
use crate::stored;

/// Programs and places of one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) paths: Paths,
    pub(crate) tools: Tools,
}

impl Plan {
    /// Fills an empty run directory: certificates, users, configuration, and the plan itself.
    pub(crate) fn write(&self) -> Result<()> {
        let folders = ["log", "pki", "kubeconfig", "config/cni", "data/sysctl", "again"];
        for folder in folders {
            std::fs::create_dir_all(self.paths.root().join(folder))?;
        }
        pki::write(&self.paths)?;
        users::write(&self.paths)?;
        for component in Component::ALL {
            component.configure(self)?;
        }
        stored::save(&self.paths.plan(), self)
    }

    /// A Kubernetes component's command, or kubectl's.
    pub(crate) fn kube(&self, component: &str) -> Command {
        let mut command = self.program(self.tools.kube());
        command.arg(component);
        command
    }

    /// A command in an environment that holds nothing of the caller's.
    pub(crate) fn program(&self, path: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(path);
        command
            .env_clear()
            .env("PATH", format!("{}:{SYSTEM_PATH}", self.tools.runtime().display()))
            .env("HOME", self.paths.root());
        command
    }
}
