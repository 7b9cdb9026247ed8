//! The cgroups that hold all pods of a node: one folder in each hierarchy of the machine, the kubelet's
//! `cgroupRoot`, so that what a node leaves behind is told apart from everybody else's and can be removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Makes the folder `name` in every hierarchy.
pub(crate) fn create(name: &str) -> Result<()> {
    for Hierarchy { mount, unified } in hierarchies()? {
        let folder = mount.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        if unified {
            delegate(&mount);
        } else {
            inherit_cpuset(&mount, &folder)?;
        }
    }
    Ok(())
}

/// Removes the folder and all below it. The processes must be gone, which the kernel takes a moment for.
pub(crate) fn remove(name: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    for Hierarchy { mount, .. } in hierarchies()? {
        let folder = mount.join(name);
        while let Err(error) = remove_tree(&folder) {
            if Instant::now() > deadline {
                bail!("cannot remove the cgroup {}: {error}", folder.display());
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

struct Hierarchy {
    mount: PathBuf,
    unified: bool,
}

/// The mounted cgroup file systems: one per controller with version 1, one with version 2, both on a
/// hybrid host.
fn hierarchies() -> Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/mounts").context("cannot read /proc/mounts")?;
    Ok(parse(&mounts))
}

fn parse(mounts: &str) -> Vec<Hierarchy> {
    let field = |line: &str, n| line.split(' ').nth(n).unwrap_or_default().to_owned();
    mounts
        .lines()
        .filter(|line| field(line, 2).starts_with("cgroup") && field(line, 1).starts_with("/sys/fs/cgroup"))
        .map(|line| Hierarchy { mount: field(line, 1).into(), unified: field(line, 2) == "cgroup2" })
        .collect()
}

/// Version 2: children may use what the root offers. Where that is refused the kubelet says which
/// controller it misses.
fn delegate(mount: &Path) {
    let offered = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
    for controller in offered.split_whitespace() {
        let _ = fs::write(mount.join("cgroup.subtree_control"), format!("+{controller}"));
    }
}

/// Version 1: a new cpuset is empty, and nothing may run in an empty one.
fn inherit_cpuset(mount: &Path, folder: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if mount.join(file).exists() {
            let value = fs::read_to_string(mount.join(file))?;
            fs::write(folder.join(file), value.trim()).with_context(|| format!("cannot fill {file}"))?;
        }
    }
    Ok(())
}

/// Children first: a cgroup goes only when it has none. The files in it go along.
fn remove_tree(folder: &Path) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_found() {
        let found = parse(
            "tmpfs /sys/fs/cgroup tmpfs rw 0 0\n\
             cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
             cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n\
             cgroup /elsewhere cgroup rw 0 0\n",
        );
        let found: Vec<_> = found.iter().map(|h| (h.mount.to_str().unwrap(), h.unified)).collect();
        assert_eq!(found, [("/sys/fs/cgroup/cpu", false), ("/sys/fs/cgroup/unified", true)]);
    }
}
