//! kube-proxy.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{path_flag, write_json};
use crate::node::address::{NODE_NAME, POD_RANGE, PROXY_HEALTH};
use crate::node::plan::Plan;

const CONFIG: &str = "proxy.json";

pub(super) fn command(plan: &Plan) -> Command {
    let mut command = plan.kube("kube-proxy");
    command.arg(path_flag("config", plan.paths.config(CONFIG)));
    command
}

pub(super) fn configure(plan: &Plan) -> Result<()> {
    let config = json!({
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": plan.paths.kubeconfig("proxy")},
        "hostnameOverride": NODE_NAME,
        "clusterCIDR": POD_RANGE,
        "healthzBindAddress": PROXY_HEALTH.to_string(),
        // The limits of connection tracking are the machine's: leave them alone.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
    });
    write_json(plan, CONFIG, &config)
}
