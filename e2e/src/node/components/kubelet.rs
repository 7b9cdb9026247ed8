//! kubelet.

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{flag, path_flag, write_json, write_text};
use crate::node::address::{CLUSTER_DOMAIN, DNS_SERVICE_IP, KUBELET_HEALTH, NODE_IP, NODE_NAME};
use crate::node::plan::Plan;

const CONFIG: &str = "kubelet.json";
pub(crate) const RESOLV_CONF: &str = "resolv.conf";

pub(super) fn command(plan: &Plan) -> Command {
    let mut command = plan.kube("kubelet");
    command.args([
        path_flag("config", plan.paths.config(CONFIG)),
        path_flag("kubeconfig", plan.paths.kubeconfig("kubelet")),
        path_flag("root-dir", plan.paths.data("kubelet")),
        path_flag("cert-dir", plan.paths.pki("kubelet")),
        flag("hostname-override", NODE_NAME),
        flag("node-ip", NODE_IP),
    ]);
    command
}

pub(super) fn configure(plan: &Plan) -> Result<()> {
    let paths = &plan.paths;
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": format!("unix://{}", paths.containerd_socket().display()),
        // Since 1.35 a version 1 host is refused unless told otherwise.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{}", paths.cgroup()),
        // Both ask for rights that root in a container or a small machine lacks.
        "oomScoreAdj": 0,
        "maxOpenFiles": 20_000,
        "maxPods": 500,
        // Reachable from inside the namespaces only, where everybody is root anyway.
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "clusterDNS": [DNS_SERVICE_IP],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": paths.config(RESOLV_CONF),
        "failSwapOn": false,
        "podLogsDir": paths.data("pod-logs"),
        "volumePluginDir": paths.data("volume-plugins"),
        // The disk is the machine's, and images come from archives: a full disk must not delete them.
        "evictionHard": {"memory.available": "100Mi"},
        "imageGCHighThresholdPercent": 100,
        "serializeImagePulls": false,
        "healthzPort": KUBELET_HEALTH.port(),
    });
    write_json(plan, CONFIG, &config)?;
    write_text(
        plan,
        RESOLV_CONF,
        &format!("nameserver {DNS_SERVICE_IP}\nsearch svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}\n"),
    )
}
