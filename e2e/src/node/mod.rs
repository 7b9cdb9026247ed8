//! The single-node cluster: a real etcd, API server, kubelet, container runtime and DNS in network,
//! mount, pid and uts namespaces of their own.
//!
//! `Node` is a handle on the one that runs. Its pods and its API server are reachable only from inside
//! its network namespace: see [`Node::runtime`] and [`Node::inside`].

pub mod address;
mod api;
mod cgroups;
mod components;
mod down;
mod event;
mod init;
mod launch;
mod namespace;
mod outage;
mod paths;
mod pki;
mod plan;
mod programs;
mod state;
mod users;

use std::future::Future;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use tokio::runtime::{Builder, Runtime};

use crate::cache::Cache;
use crate::parts::Tools;
use crate::steps::Steps;
use crate::{images, preflight, stored};
use plan::Plan;
use state::Process;

pub use components::Component;
pub use init::{COMMAND as INIT_COMMAND, Child, Ended, OWN_PROGRAM, inside as init_inside, outside as init_outside};
pub(crate) use namespace::Network;
pub use outage::Outage;
pub use paths::Paths;

/// A running node.
#[derive(Clone, Debug)]
pub struct Node {
    plan: Plan,
    process: Process,
    network: Network,
}

impl Node {
    /// The node that serves on this machine, if one does.
    pub fn find() -> Result<Option<Self>> {
        let cache = Cache::open()?;
        let paths = Paths::new(cache.node())?;
        let Some(process) = stored::load::<Process>(&paths.state())?.filter(Process::runs) else { return Ok(None) };
        if !paths.serving().exists() {
            return Ok(None);
        }
        let plan = stored::load(&paths.plan())?.context("the node's plan is gone: run `cargo e2e down`")?;
        let network = Network::of(process.pid())?;
        Ok(Some(Self { plan, process, network }))
    }

    /// The node that runs, or an error that says how to start one.
    pub fn running() -> Result<Self> {
        Self::find()?.context("no node is up: run `cargo e2e up` first")
    }

    /// The node that runs, or a new one: checks the machine, builds the Go parts that are not cached
    /// yet, starts everything and loads the sandbox image. About five seconds when all is cached.
    pub fn up(steps: &Steps) -> Result<Self> {
        let cache = Cache::open()?;
        let _lock = cache.lock()?;
        if let Some(node) = Self::find()? {
            node.check()?;
            return Ok(node);
        }
        preflight::node(steps)?;
        let tools = Tools::build(&cache, steps)?;
        let sandbox = images::sandbox(&cache, steps)?;
        down::clean(&Paths::new(cache.node())?)?;
        let node = launch::start(Plan { paths: Paths::new(cache.node())?, tools }, steps)?;
        images::load(&node, &sandbox)?;
        Ok(node)
    }

    /// Ends the node, or what is left of one, and removes all it leaves behind: processes, mounts,
    /// interfaces, cgroups and the run directory. True if there was anything.
    pub fn down() -> Result<bool> {
        let cache = Cache::open()?;
        let _lock = cache.lock()?;
        down::clean(&Paths::new(cache.node())?)
    }

    /// Fails if a component has ended, naming it and its log. Nothing restarts a component.
    pub fn check(&self) -> Result<()> {
        for child in self.components()? {
            if let Some(ended) = child.ended {
                let name = child.component.name();
                bail!(
                    "{name} ended at {} ({}), see `cargo e2e logs {name}`; `cargo e2e down` and `up` start anew",
                    ended.at,
                    ended.how
                );
            }
        }
        Ok(())
    }

    /// Every component that was started, and what became of it.
    pub fn components(&self) -> Result<Vec<Child>> {
        Ok(stored::load(&self.plan.paths.components())?.unwrap_or_default())
    }

    /// A component's command line, since figures depend on some of its flags.
    pub fn arguments(&self, component: Component) -> Vec<String> {
        let command = component.command(&self.plan);
        command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    /// A component's log file, also that of a node that did not come up.
    pub fn log(component: Component) -> Result<PathBuf> {
        Ok(Paths::new(Cache::open()?.node())?.log(component.name()))
    }

    /// Where its files are.
    pub fn paths(&self) -> &Paths {
        &self.plan.paths
    }

    /// The pid of its first process, as seen from outside: for `nsenter`, and to read `/proc`.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Moves the current thread, and every process and thread it starts from now on, into the node's
    /// network, for good. Sockets opened before stay where they were.
    pub fn enter(&self) -> Result<()> {
        self.network.enter()
    }

    /// Runs `work` on a thread of its own inside the node's network.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        self.network.inside(work)
    }

    /// A tokio runtime all of whose threads are inside the node's network. The current thread enters
    /// too, since `block_on` polls its future there.
    pub fn runtime(&self) -> Result<Runtime> {
        self.enter()?;
        let network = self.network.clone();
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("node")
            .on_thread_start(move || {
                // A worker outside would reach the wrong network and make the test lie.
                if let Err(error) = network.enter() {
                    eprintln!("{error:#}");
                    std::process::abort();
                }
            })
            .build()?;
        Ok(runtime)
    }

    /// Runs a future to its end on a [`Node::runtime`] of its own.
    pub fn block_on<F: Future>(&self, work: F) -> Result<F::Output> {
        Ok(self.runtime()?.block_on(work))
    }
}
