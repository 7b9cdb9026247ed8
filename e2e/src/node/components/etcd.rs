//! etcd.

use std::process::Command;

use super::{flag, path_flag};
use crate::node::address::{ETCD, ETCD_PEER};
use crate::node::plan::Plan;

pub(super) fn command(plan: &Plan) -> Command {
    let clients = format!("http://{ETCD}");
    let mut command = plan.kube("etcd");
    command.args([
        path_flag("data-dir", plan.paths.data("etcd")),
        flag("listen-client-urls", &clients),
        flag("advertise-client-urls", &clients),
        flag("listen-peer-urls", format_args!("http://{ETCD_PEER}")),
        // The data lives as long as the processes do: no need to wait for the disk.
        flag("unsafe-no-fsync", true),
    ]);
    command
}
