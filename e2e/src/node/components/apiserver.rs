//! kube-apiserver, with default feature gates and admission plugins (Pod Security among them).

use std::process::Command;

use anyhow::Result;
use serde_json::json;

use super::{flag, path_flag, write_json};
use crate::install::{ACTIVATOR, NAMESPACE, OPERATOR};
use crate::node::address::{API_PORT, CLUSTER_DOMAIN, ETCD, NODE_IP, SERVICE_RANGE};
use crate::node::plan::Plan;

const AUDIT_POLICY: &str = "audit-policy.json";

pub(super) fn command(plan: &Plan) -> Command {
    let paths = &plan.paths;
    // Service account tokens name it as issuer and, unless they ask for another, as audience.
    let issuer = format!("https://kubernetes.default.svc.{CLUSTER_DOMAIN}");
    let mut command = plan.kube("kube-apiserver");
    command.args([
        flag("etcd-servers", format_args!("http://{ETCD}")),
        flag("advertise-address", NODE_IP),
        flag("secure-port", API_PORT),
        flag("service-cluster-ip-range", SERVICE_RANGE),
        path_flag("tls-cert-file", paths.pki("apiserver.crt")),
        path_flag("tls-private-key-file", paths.pki("apiserver.key")),
        path_flag("cert-dir", paths.pki("apiserver")),
        path_flag("token-auth-file", paths.pki("users.csv")),
        flag("anonymous-auth", true),
        flag("authorization-mode", "Node,RBAC"),
        path_flag("service-account-key-file", paths.pki("tokens.pub")),
        path_flag("service-account-signing-key-file", paths.pki("tokens.key")),
        flag("service-account-issuer", &issuer),
        flag("api-audiences", &issuer),
        flag("allow-privileged", true),
        flag("kubelet-preferred-address-types", "InternalIP"),
        path_flag("audit-policy-file", paths.config(AUDIT_POLICY)),
        path_flag("audit-log-path", paths.audit_log()),
        flag("audit-log-maxsize", 100),
        flag("audit-log-maxbackup", 1),
    ]);
    command
}

/// Who scaled what, who wrote a Rouse object, a Deployment or a pod, and all that Rouse itself writes: the tests count these
/// writes. A scale's body is kept, since the number is the point; of the rest only who, what and when. The kubelet's
/// writes of pod status are left out, as they say nothing and are most of all. Two files of 100 MB at most.
pub(super) fn configure(plan: &Plan) -> Result<()> {
    let writes = ["create", "update", "patch", "delete", "deletecollection"];
    let rouse = [OPERATOR, ACTIVATOR].map(|account| format!("system:serviceaccount:{NAMESPACE}:{account}"));
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {
                "level": "Request",
                "verbs": writes,
                "resources": [{"group": "apps", "resources": ["deployments/scale"]}],
            },
            {"level": "Metadata", "verbs": writes, "users": rouse},
            {"level": "Metadata", "verbs": writes, "resources": [
                {"group": "rouse.dev"},
                {"group": "apps", "resources": ["deployments"]},
                {"group": "", "resources": ["pods"]},
            ]},
            {"level": "None"},
        ],
    });
    write_json(plan, AUDIT_POLICY, &policy)
}
