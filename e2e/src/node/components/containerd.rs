//! containerd and the pod network.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::json;

use super::{write_json, write_text};
use crate::images::PAUSE;
use crate::node::address::POD_RANGE;
use crate::node::plan::Plan;
use crate::preflight::find;

const CONFIG: &str = "containerd.toml";

pub(super) fn command(plan: &Plan) -> Command {
    let mut command = plan.program(plan.tools.runtime().join("containerd"));
    command.arg("--config").arg(plan.paths.config(CONFIG));
    command
}

pub(super) fn configure(plan: &Plan) -> Result<()> {
    network(plan)?;
    let runc = find("runc").context("runc is not installed")?;
    let paths = &plan.paths;
    // `restrict_oom_score_adj`: without CAP_SYS_RESOURCE, as in many virtual machines and containers,
    // lowering a score fails and with it every sandbox.
    let config = format!(
        "version = 3
root = '{root}'
state = '{state}'

[grpc]
address = '{socket}'

[plugins.'io.containerd.cri.v1.images']
snapshotter = 'overlayfs'
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'

[plugins.'io.containerd.cri.v1.runtime']
disable_apparmor = true
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '{runc}'
SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['{plugins}']
conf_dir = '{networks}'

[plugins.'io.containerd.internal.v1.opt']
path = '{opt}'
",
        root = paths.data("containerd").display(),
        state = paths.data("containerd-state").display(),
        socket = paths.containerd_socket().display(),
        runc = runc.display(),
        plugins = plan.tools.runtime().display(),
        networks = paths.cni().display(),
        opt = paths.data("containerd-opt").display(),
    );
    write_text(plan, CONFIG, &config)
}

/// Each pod on a veth pair of its own, routed and not bridged (as kind does): Service addresses then
/// work from pod to pod without the kernel module `br_netfilter`, which not every machine has loaded.
fn network(plan: &Plan) -> Result<()> {
    let addresses = json!({
        "type": "host-local",
        "dataDir": plan.paths.data("cni"),
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let list = json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipMasq": true, "ipam": addresses},
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    write_json(plan, "cni/10-pods.conflist", &list)
}
