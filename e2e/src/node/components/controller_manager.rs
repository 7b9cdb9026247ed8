//! kube-controller-manager.

use std::process::Command;

use super::{flag, path_flag};
use crate::node::address::POD_RANGE;
use crate::node::plan::Plan;

pub(super) fn command(plan: &Plan) -> Command {
    let paths = &plan.paths;
    let mut command = plan.kube("kube-controller-manager");
    command.args([
        path_flag("kubeconfig", paths.kubeconfig("controller-manager")),
        path_flag("service-account-private-key-file", paths.pki("tokens.key")),
        path_flag("root-ca-file", paths.pki("ca.crt")),
        path_flag("cluster-signing-cert-file", paths.pki("ca.crt")),
        path_flag("cluster-signing-key-file", paths.pki("ca.key")),
        path_flag("cert-dir", paths.pki("controller-manager")),
        flag("cluster-cidr", POD_RANGE),
        // Making an account for each of forty controllers would take four seconds of every start. Each has
        // a client and rate limit of its own either way.
        flag("use-service-account-credentials", false),
        // Alone, so it need not wait for a lease.
        flag("leader-elect", false),
        // The defaults, named because scaling figures depend on them.
        flag("kube-api-qps", 20),
        flag("kube-api-burst", 30),
    ]);
    command
}
