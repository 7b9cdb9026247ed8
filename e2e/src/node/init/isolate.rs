//! The node's view of the file system: the machine's, except where the components would leave traces
//! in it or change it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, statfs};
use nix::unistd::sethostname;

use crate::node::address::NODE_NAME;
use crate::node::components::RESOLV_CONF;
use crate::node::plan::Plan;

/// Kernel settings that the kubelet wants, with the values it wants. They belong to the whole machine,
/// so it gets files that already hold them instead.
const KUBELET_SYSCTLS: [(&str, &str); 6] = [
    ("vm/overcommit_memory", "1"),
    ("vm/panic_on_oom", "0"),
    ("kernel/panic", "10"),
    ("kernel/panic_on_oops", "1"),
    ("kernel/keys/root_maxkeys", "1000000"),
    ("kernel/keys/root_maxbytes", "25000000"),
];

/// Sets up the mount and host name namespaces.
pub(super) fn mounts(plan: &Plan) -> Result<()> {
    sethostname(NODE_NAME).context("cannot set the host name")?;
    // No mount reaches the machine; within the node they propagate, as pods' volumes need it.
    propagation(MsFlags::MS_PRIVATE)?;
    propagation(MsFlags::MS_SHARED)?;
    attach("proc", Path::new("/proc"))?;
    resolver(plan)?;
    // The kubelet links container logs here.
    attach("tmpfs", Path::new("/var/log"))?;
    snapshots(plan)?;
    sysctls(plan)
}

/// Containers' root file systems are overlays, which cannot lie on another overlay: where the cache is
/// in a container itself, they lie in memory.
fn snapshots(plan: &Plan) -> Result<()> {
    let folder = plan.paths.data("containerd");
    fs::create_dir_all(&folder)?;
    if statfs(&folder)?.filesystem_type() == OVERLAYFS_SUPER_MAGIC {
        attach("tmpfs", &folder)?;
    }
    Ok(())
}

fn propagation(kind: MsFlags) -> Result<()> {
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | kind, None::<&str>).context("cannot change propagation")
}

/// Programs on the node resolve names as pods do. `/run` becomes the node's own: runtimes keep
/// sockets, locks and network namespaces there. `/etc/resolv.conf` is often a link into it.
fn resolver(plan: &Plan) -> Result<()> {
    let target = fs::canonicalize("/etc/resolv.conf");
    attach("tmpfs", Path::new("/run"))?;
    let Ok(target) = target else { return Ok(()) };
    if !target.exists() {
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&target, "")?;
    }
    bind(&plan.paths.config(RESOLV_CONF), &target)
}

fn sysctls(plan: &Plan) -> Result<()> {
    for (name, value) in KUBELET_SYSCTLS {
        let setting = Path::new("/proc/sys").join(name);
        if setting.exists() {
            let file = plan.paths.data("sysctl").join(name.replace('/', "."));
            fs::write(&file, value)?;
            bind(&file, &setting)?;
        }
    }
    Ok(())
}

fn attach(kind: &str, target: &Path) -> Result<()> {
    mount(Some(kind), target, Some(kind), MsFlags::empty(), None::<&str>)
        .with_context(|| format!("cannot mount {kind} on {}", target.display()))
}

fn bind(source: &Path, target: &Path) -> Result<()> {
    mount(Some(source), target, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("cannot bind {} to {}", source.display(), target.display()))
}
