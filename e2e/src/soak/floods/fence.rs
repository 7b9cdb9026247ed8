//! Bounds on how much of the CPU processes get, by cgroups: an attacker that may have a whole core would show how fast it
//! can send, not what that costs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Microseconds over which a bound holds.
const PERIOD: u64 = 100_000;

/// A cgroup of its own. Removed when dropped; by then its processes must have ended.
#[derive(Debug)]
pub(super) struct Fence {
    folder: PathBuf,
}

impl Fence {
    /// A new one, with so many percent of a core.
    ///
    /// # Errors
    /// Without a writable CPU controller.
    pub(super) fn new(name: &str, percent: u64) -> Result<Self> {
        let folder = root()?.join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let fence = Self { folder };
        bound(&fence.folder, Some(percent))?;
        Ok(fence)
    }

    /// Puts a process into it.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn put(&self, pid: u32) -> Result<()> {
        let file = self.folder.join("cgroup.procs");
        fs::write(&file, pid.to_string()).with_context(|| format!("cannot write {}", file.display()))
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// A bound on the cgroup that a process is in already. Lifted when dropped.
#[derive(Debug)]
pub(super) struct Bound {
    folder: PathBuf,
}

impl Bound {
    /// So many percent of a core.
    ///
    /// # Errors
    /// As [`Fence::new`]; or where the cgroup has a bound already.
    pub(super) fn on(pid: u32, percent: u64) -> Result<Self> {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
        let own = own(&groups).with_context(|| format!("the process {pid} has no cgroup for the CPU"))?;
        let folder = root()?.join(own.trim_start_matches('/'));
        ensure!(!is_bound(&folder)?, "the activator has a CPU limit already");
        bound(&folder, Some(percent))?;
        Ok(Self { folder })
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = bound(&self.folder, None);
    }
}

/// The path of a process below [`root`], from its `/proc/PID/cgroup`.
fn own(groups: &str) -> Option<&str> {
    let of = |line: &'_ str, wanted: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        parts.next().is_some_and(|controllers| controllers.split(',').any(|controller| controller == wanted))
    };
    let line = groups.lines().find(|line| of(line, "cpu")).or_else(|| groups.lines().find(|line| of(line, "")));
    line.and_then(|line| line.splitn(3, ':').nth(2))
}

/// Where the CPU controller is: a hierarchy of its own (version 1), or the one of all (version 2).
fn root() -> Result<PathBuf> {
    let mounted = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"].map(PathBuf::from);
    let version1 = mounted.into_iter().find(|path| path.join("cpu.cfs_quota_us").exists());
    let version2 = || {
        let path = PathBuf::from("/sys/fs/cgroup");
        path.join("cgroup.controllers").exists().then_some(path)
    };
    version1.or_else(version2).context("no cgroup controller for the CPU")
}

fn is_bound(folder: &Path) -> Result<bool> {
    if let Ok(quota) = fs::read_to_string(folder.join("cpu.cfs_quota_us")) {
        return Ok(!quota.starts_with('-'));
    }
    Ok(!fs::read_to_string(folder.join("cpu.max"))?.starts_with("max"))
}

fn bound(folder: &Path, percent: Option<u64>) -> Result<()> {
    let quota = percent.map(|percent| PERIOD * percent / 100);
    let (file, text) = if folder.join("cpu.cfs_quota_us").exists() {
        ("cpu.cfs_quota_us", quota.map_or("-1".to_owned(), |quota| quota.to_string()))
    } else {
        ("cpu.max", quota.map_or(format!("max {PERIOD}"), |quota| format!("{quota} {PERIOD}")))
    };
    fs::write(folder.join(file), text).with_context(|| format!("cannot write {}/{file}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_found_in_both_versions() {
        assert_eq!(own("9:name=systemd:/\n3:cpu,cpuacct:/a/b\n0::/c\n"), Some("/a/b"));
        assert_eq!(own("2:cpuset:/x\n0::/c\n"), Some("/c"));
        assert_eq!(own("2:cpuset:/x\n"), None);
    }
}
