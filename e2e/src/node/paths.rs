//! The run directory: everything that a node writes, removed as a whole by `down`.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::parts::hex;

/// Names of files in the run directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// Refuses a root that leaves no room for socket names: a Unix socket's path ends at 107 bytes.
    pub(crate) fn new(root: PathBuf) -> Result<Self> {
        const LONGEST: usize = 64;
        if root.as_os_str().len() > LONGEST {
            bail!("{} is too long for the sockets in it: set ROUSE_CACHE to a shorter folder", root.display());
        }
        Ok(Self { root })
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Who the node's first process is; its presence means that a node was started.
    pub(crate) fn state(&self) -> PathBuf {
        self.root.join("state.json")
    }

    /// Present once the node serves.
    pub(crate) fn serving(&self) -> PathBuf {
        self.root.join("serving")
    }

    /// Which programs the node runs.
    pub(crate) fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// What became of each component, kept up to date by the node's first process.
    pub(crate) fn components(&self) -> PathBuf {
        self.root.join("components.json")
    }

    /// Present while a component that has ended is to be started again.
    pub(crate) fn again(&self, component: &str) -> PathBuf {
        self.root.join("again").join(component)
    }

    /// Standard output and error of a component.
    pub fn log(&self, component: &str) -> PathBuf {
        self.root.join("log").join(format!("{component}.log"))
    }

    /// One JSON line for each write of a Deployment, its scale, a pod or a `rouse.dev` object, and for each by Rouse.
    pub fn audit_log(&self) -> PathBuf {
        self.root.join("log/audit.jsonl")
    }

    /// A user's access to the API server; `admin` may do everything.
    pub fn kubeconfig(&self, user: &str) -> PathBuf {
        self.root.join("kubeconfig").join(user)
    }

    /// A certificate, key or token file.
    pub(crate) fn pki(&self, file: &str) -> PathBuf {
        self.root.join("pki").join(file)
    }

    /// A component's configuration file.
    pub(crate) fn config(&self, file: &str) -> PathBuf {
        self.root.join("config").join(file)
    }

    /// The network configuration that containerd reads.
    pub(crate) fn cni(&self) -> PathBuf {
        self.root.join("config/cni")
    }

    /// A folder or file of a component's own.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    /// The cgroup of all pods, in each hierarchy of the machine: named by the run directory, so that two
    /// nodes of different caches do not meet.
    pub(crate) fn cgroup(&self) -> String {
        format!("rouse-{}", &hex(&Sha256::digest(self.root.as_os_str().as_encoded_bytes()))[..8])
    }

    /// The container runtime's socket.
    pub fn containerd_socket(&self) -> PathBuf {
        self.root.join("containerd.sock")
    }
}
