//! The node's processes: started by the bring-up, reaped by the main thread, written to a file that
//! `cargo e2e status` reads. Nothing is restarted unless it is asked for: a component that died is a finding.

use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use serde::{Deserialize, Serialize};

use super::log_file;
use crate::node::components::Component;
use crate::node::paths::Paths;
use crate::stored;

/// A component that was started, and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Child {
    /// Which one.
    pub component: Component,
    /// Its pid inside the node.
    pub pid: i32,
    /// When it was started.
    pub started: Timestamp,
    /// How and when it ended. `None` while it runs.
    pub ended: Option<Ended>,
}

/// The end of a component.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// `exit code 1`, `signal SIGKILL`.
    pub how: String,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Children {
    paths: Paths,
    list: Mutex<Vec<Child>>,
}

impl Children {
    pub(crate) fn new(paths: Paths) -> Self {
        Self { paths, list: Mutex::new(Vec::new()) }
    }

    /// Starts a component, its output appended to its log file. The list is locked meanwhile: were
    /// the child to end at once, the reaper would find it in the list.
    pub(crate) fn start(&self, component: Component, mut command: Command) -> Result<()> {
        let log = self.paths.log(component.name());
        command.stdin(Stdio::null()).stdout(log_file(&log)?).stderr(log_file(&log)?).current_dir("/");
        let mut list = self.list();
        let child = command.spawn().with_context(|| format!("cannot start {}", component.name()))?;
        let pid = i32::try_from(child.id())?;
        list.retain(|child| child.component != component);
        list.push(Child { component, pid, started: Timestamp::now(), ended: None });
        self.save(&list);
        Ok(())
    }

    /// How a component ended, if it did.
    pub(crate) fn ended(&self, component: Component) -> Option<String> {
        let list = self.list();
        let child = list.iter().find(|child| child.component == component)?;
        child.ended.as_ref().map(|ended| ended.how.clone())
    }

    /// Collects ended processes, components and orphans alike, while `go_on` says so.
    pub(crate) fn reap_while(&self, go_on: impl Fn() -> bool) {
        while go_on() {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.note(pid.as_raw(), format!("exit code {code}")),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.note(pid.as_raw(), format!("signal {signal}")),
                // Soon enough for everybody who asks, and seldom enough to cost nothing.
                Ok(_) | Err(Errno::ECHILD) => sleep(Duration::from_millis(100)),
                Err(error) => {
                    eprintln!("cannot wait for processes: {error}");
                    sleep(Duration::from_secs(1));
                }
            }
        }
    }

    fn note(&self, pid: i32, how: String) {
        let mut list = self.list();
        if let Some(child) = list.iter_mut().find(|child| child.pid == pid && child.ended.is_none()) {
            eprintln!("{} ended: {how}", child.component.name());
            child.ended = Some(Ended { at: Timestamp::now(), how });
            self.save(&list);
        }
    }

    fn save(&self, list: &[Child]) {
        if let Err(error) = stored::save(&self.paths.components(), &list) {
            eprintln!("cannot write the list of components: {error:#}");
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<Child>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
