//! CoreDNS, on the node itself: one process less to schedule, and names resolve before the first pod.

use std::process::Command;

use anyhow::Result;
use serde_json::{Value, json};

use super::write_text;
use crate::node::address::{CLUSTER_DOMAIN, DNS_READY, DNS_SERVICE_IP, NODE_IP};
use crate::node::plan::Plan;

const CONFIG: &str = "Corefile";

pub(super) fn command(plan: &Plan) -> Command {
    let mut command = plan.program(plan.tools.dns());
    command.arg("-conf").arg(plan.paths.config(CONFIG));
    command
}

/// The cluster's own names, and "no such name" for every other: there is no resolver to ask, and a
/// refusal would make clients try again. Two servers, since `template` answers before `kubernetes`.
pub(super) fn configure(plan: &Plan) -> Result<()> {
    let kubeconfig = plan.paths.kubeconfig("dns");
    let config = format!(
        "{CLUSTER_DOMAIN}:53 in-addr.arpa:53 {{
    bind {NODE_IP}
    errors
    ready {DNS_READY}
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        ttl 5
    }}
}}
.:53 {{
    bind {NODE_IP}
    errors
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
",
        kubeconfig = kubeconfig.display()
    );
    write_text(plan, CONFIG, &config)
}

/// The Service that pods find CoreDNS by: without a selector, its one endpoint is the node.
pub(crate) fn service() -> [Value; 2] {
    let ports = [("dns", "UDP"), ("dns-tcp", "TCP")]
        .map(|(name, protocol)| json!({"name": name, "port": 53, "protocol": protocol}));
    let service = json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns"}},
        "spec": {"clusterIP": DNS_SERVICE_IP, "ports": ports},
    });
    let endpoints = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "kube-dns-node",
            "namespace": "kube-system",
            "labels": {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "rouse-e2e"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [NODE_IP], "conditions": {"ready": true}}],
        "ports": ports,
    });
    [service, endpoints]
}
