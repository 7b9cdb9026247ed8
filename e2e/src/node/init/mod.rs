//! The node's own process: first in its pid namespace, parent of every component, reaper of what is
//! orphaned. When it dies, the kernel ends everything else in the namespace.

mod bring_up;
mod children;
mod isolate;
mod network;
mod probe;

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{dup2_stdout, setsid};

use super::components::Component;
use super::event::Event;
use super::paths::Paths;
use super::plan::Plan;
use super::state::Process;
use crate::stored;
use children::Children;

pub use children::{Child, Ended};

/// The hidden subcommand that a node's processes run under.
pub const COMMAND: &str = "node-init";
/// The program that runs, even where cargo has put another in its place since: it does so when it builds the tests.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// Outside the namespaces: makes them, starts [`inside`] as the first process in them, writes down
/// which process that is, and ends. The kernel puts only children into a new pid namespace, hence two
/// processes.
pub fn outside(root: &Path) -> Result<()> {
    let paths = Paths::new(root.to_owned())?;
    setsid().context("cannot leave the terminal's session")?;
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS)
        .context("cannot make namespaces (root is needed)")?;
    let child = Command::new(OWN_PROGRAM).args([COMMAND, "inside"]).arg(root).current_dir("/").spawn()?;
    let pid = i32::try_from(child.id())?;
    stored::save(&paths.state(), &Process::of(pid)?)
}

/// Inside: brings the node up, reports, and reaps for the rest of its life. Returns only if the node
/// could not be brought up, or nobody was left to hear that it was.
pub fn inside(root: &Path) -> Result<()> {
    let result = live(root);
    if let Err(error) = &result {
        Event::Failed(format!("{error:#}")).send();
    }
    result
}

fn live(root: &Path) -> Result<()> {
    let plan: Plan = stored::load(&Paths::new(root.to_owned())?.plan())?.context("there is no plan")?;
    prepare(&plan)?;
    let children = Arc::new(Children::new(plan.paths.clone()));
    let starter = thread::Builder::new().name("bring-up".into()).spawn({
        let (plan, children) = (plan.clone(), Arc::clone(&children));
        move || bring_up::run(&plan, &children)
    })?;
    children.reap_while(|| !starter.is_finished());
    starter.join().map_err(|_| anyhow!("the bring-up ended early"))??;
    children.reap_while(|| {
        start_again(&plan, &children);
        true
    });
    Ok(())
}

/// Starts the components for which that is asked for, by an [`Outage`](super::Outage), once they have ended.
fn start_again(plan: &Plan, children: &Children) {
    for component in Component::ALL {
        let asked = plan.paths.again(component.name());
        if !asked.exists() || children.ended(component).is_none() {
            continue;
        }
        let started = fs::remove_file(&asked).map_err(anyhow::Error::from);
        if let Err(error) = started.and_then(|()| children.start(component, component.command(plan))) {
            eprintln!("{} cannot be started again: {error:#}", component.name());
        }
    }
}

/// What has to be there before the first component: namespaces' content, and cgroups.
fn prepare(plan: &Plan) -> Result<()> {
    // Only here: in a mount namespace shared with [`outside`], the new `/proc` would hide this very process from it.
    unshare(CloneFlags::CLONE_NEWNS).context("cannot make a mount namespace (root is needed)")?;
    isolate::mounts(plan)?;
    network::create()?;
    super::cgroups::create(&plan.paths.cgroup())
}

/// Nobody listens any more: from here on standard output goes where standard error does.
fn close_events() -> Result<()> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    dup2_stdout(&nowhere)?;
    Ok(())
}

/// The end of a component's log, for an error message.
fn log_tail(plan: &Plan, component: &str) -> String {
    let path = plan.paths.log(component);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(12)..].join("\n    ");
    format!("the end of {}:\n    {last}", path.display())
}

/// A log file as standard output or error of a component.
fn log_file(path: &Path) -> Result<Stdio> {
    let file = File::options().create(true).append(true).open(path);
    Ok(file.with_context(|| format!("cannot write {}", path.display()))?.into())
}
