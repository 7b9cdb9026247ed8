//! kube-scheduler.

use std::process::Command;

use super::{flag, path_flag};
use crate::node::plan::Plan;

pub(super) fn command(plan: &Plan) -> Command {
    let kubeconfig = plan.paths.kubeconfig("scheduler");
    let mut command = plan.kube("kube-scheduler");
    command.args([
        path_flag("kubeconfig", &kubeconfig),
        path_flag("authentication-kubeconfig", &kubeconfig),
        path_flag("authorization-kubeconfig", &kubeconfig),
        path_flag("cert-dir", plan.paths.pki("scheduler")),
        flag("leader-elect", false),
    ]);
    command
}
