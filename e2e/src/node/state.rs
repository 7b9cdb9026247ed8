//! Which process is the node, on file. A pid alone may by now be somebody else's process, so the
//! state names a process by its pid, its start time and the boot it was started in.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// One process, beyond doubt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/PID/stat`.
    started: u64,
    boot: String,
}

impl Process {
    /// The process that has this pid now.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let (started, _) = stat(pid).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self { pid, started, boot: boot()? })
    }

    /// Its pid, as seen from outside the node.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// Whether it still runs. One that has ended and waits to be reaped does not.
    pub(crate) fn runs(&self) -> bool {
        boot().is_ok_and(|boot| boot == self.boot)
            && stat(self.pid).is_some_and(|(started, state)| started == self.started && state != 'Z' && state != 'X')
    }

    /// Kills it, unless it is gone already. The first process of a pid namespace takes all others along.
    pub(crate) fn kill(&self) -> Result<()> {
        if self.runs() {
            kill(Pid::from_raw(self.pid), Signal::SIGKILL)?;
        }
        Ok(())
    }
}

/// Start time and state. The second field, the name, may hold spaces and parentheses.
fn stat(pid: i32) -> Option<(u64, char)> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = line.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let started = fields.nth(18)?.parse().ok()?;
    Some((started, state))
}

fn boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_pid() {
        let own = Process::of(std::process::id() as i32).unwrap();
        assert!(own.runs());
        let earlier = Process { started: own.started - 1, ..own.clone() };
        assert!(!earlier.runs());
        earlier.kill().unwrap();
    }
}
