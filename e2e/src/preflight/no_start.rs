//! Keeps Debian packages from starting their services while they are installed.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result};

/// What `invoke-rc.d(8)` asks before it starts a service.
pub(super) const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Forbids (101) while the process lives: one that is killed leaves nothing that forbids.
fn policy_of(pid: u32) -> String {
    format!("#!/bin/sh\n[ -d /proc/{pid} ] && exit 101\nexit 0\n")
}

/// Until dropped, no package starts a service. A policy that the machine has already stays, and decides.
#[derive(Debug)]
pub(super) struct NoStart {
    ours: Option<PathBuf>,
}

impl NoStart {
    /// Begins.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn begin(policy: &Path) -> Result<Self> {
        match OpenOptions::new().write(true).create_new(true).mode(0o755).open(policy) {
            Ok(mut file) => {
                let begun = Self { ours: Some(policy.to_owned()) };
                file.write_all(policy_of(process::id()).as_bytes())?;
                Ok(begun)
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self { ours: None }),
            Err(error) => Err(error).with_context(|| format!("cannot write {}", policy.display())),
        }
    }
}

impl Drop for NoStart {
    fn drop(&mut self) {
        if let Some(policy) = &self.ours
            && let Err(error) = fs::remove_file(policy)
        {
            eprintln!("cannot remove {}: {error}", policy.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;

    fn asked(policy: &Path) -> Option<i32> {
        // By `sh`: a file that another test's fork still holds open for writing cannot be run itself.
        Command::new("sh").arg(policy).status().unwrap().code()
    }

    #[test]
    fn it_forbids_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        let quiet = NoStart::begin(&policy).unwrap();
        assert_eq!(asked(&policy), Some(101));
        assert_eq!(fs::metadata(&policy).unwrap().permissions().mode() & 0o100, 0o100);
        drop(quiet);
        assert!(!policy.exists());
    }

    #[test]
    fn of_a_process_that_has_ended_nothing_forbids() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        fs::write(&policy, policy_of(child.id())).unwrap();
        assert_eq!(asked(&policy), Some(0));
    }

    #[test]
    fn a_policy_of_the_machine_stays() {
        let folder = tempfile::tempdir().unwrap();
        let policy = folder.path().join("policy-rc.d");
        fs::write(&policy, "theirs").unwrap();
        drop(NoStart::begin(&policy).unwrap());
        assert_eq!(fs::read_to_string(&policy).unwrap(), "theirs");
    }
}
