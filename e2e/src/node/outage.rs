//! A component that is taken away from a running node for a while.

use std::{
    fs,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Component, Node};

/// How long the node's first process may take to notice an end or a wish.
const NOTICED: Duration = Duration::from_secs(10);

/// A component that is gone, or stands still, until this is ended or dropped.
#[must_use = "the component comes back when it is dropped"]
#[derive(Debug)]
pub struct Outage {
    node: Node,
    component: Component,
    /// The process that stands still. None: it is gone.
    frozen: Option<Pid>,
    over: bool,
}

impl Node {
    /// Ends a component as a crash does: SIGKILL.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self, component: Component) -> Result<Outage> {
        let again = self.paths().again(component.name());
        let ready = again.parent().is_some_and(Path::is_dir);
        ensure!(ready, "this node starts nothing again: it was brought up by an older build, or is going down");
        kill(self.process(component)?, Signal::SIGKILL)?;
        self.until(component, "has not ended", |ended| ended)?;
        Ok(Outage { node: self.clone(), component, frozen: None, over: false })
    }

    /// Stops a component where it is: SIGSTOP. Its connections stay open, and nothing answers on them.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self, component: Component) -> Result<Outage> {
        let process = self.process(component)?;
        kill(process, Signal::SIGSTOP)?;
        Ok(Outage { node: self.clone(), component, frozen: Some(process), over: false })
    }

    fn until(&self, component: Component, what: &str, wanted: impl Fn(bool) -> bool) -> Result<()> {
        let deadline = Instant::now() + NOTICED;
        loop {
            let found = self.components()?.into_iter().find(|child| child.component == component);
            if found.is_some_and(|child| wanted(child.ended.is_some())) {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{} {what}", component.name());
            sleep(Duration::from_millis(20));
        }
    }

    /// The process of a component, as seen from outside the node.
    fn process(&self, component: Component) -> Result<Pid> {
        let name = component.name();
        let child = self.components()?.into_iter().find(|child| child.component == component);
        let child = child.filter(|child| child.ended.is_none()).with_context(|| format!("{name} does not run"))?;
        let namespace = |pid: &Path| fs::read_link(pid.join("ns/pid")).ok();
        let own = namespace(Path::new(&format!("/proc/{}", self.pid()))).context("the node is gone")?;
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            // One that has ended meanwhile cannot be read.
            let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
            if innermost(&status) == Some(child.pid) && namespace(&entry.path()).as_ref() == Some(&own) {
                return Ok(Pid::from_raw(pid));
            }
        }
        bail!("no process is {name}'s")
    }
}

/// The pid of a process in its own pid namespace, from `/proc/PID/status`.
fn innermost(status: &str) -> Option<i32> {
    status.lines().find_map(|line| line.strip_prefix("NSpid:"))?.split_whitespace().next_back()?.parse().ok()
}

impl Outage {
    /// Brings the component back, as dropping does. Whether it serves yet is another matter.
    ///
    /// # Errors
    /// When it does not come back.
    pub fn end(mut self) -> Result<()> {
        self.back()?;
        self.node.until(self.component, "was not started again", |ended| !ended)
    }

    fn back(&mut self) -> Result<()> {
        if std::mem::replace(&mut self.over, true) {
            return Ok(());
        }
        match self.frozen {
            Some(process) => kill(process, Signal::SIGCONT)?,
            None => fs::write(self.node.paths().again(self.component.name()), "")?,
        }
        Ok(())
    }
}

impl Drop for Outage {
    fn drop(&mut self) {
        if let Err(error) = self.back() {
            eprintln!("{} is not back: {error:#}", self.component.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_a_pid_in_each_namespace() {
        assert_eq!(innermost("Name:\tx\nPid:\t812\nNSpid:\t812\t17\nVmRSS:\t1"), Some(17));
        assert_eq!(innermost("NSpid:\t812\n"), Some(812));
        assert_eq!(innermost("Name:\tx\n"), None);
        let own = fs::read_to_string("/proc/self/status").unwrap();
        assert_eq!(innermost(&own), i32::try_from(std::process::id()).ok());
    }
}
