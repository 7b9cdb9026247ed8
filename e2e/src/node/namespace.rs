//! Entering the node's network, or a pod's. A network namespace belongs to a thread: sockets that a thread makes
//! after entering, and processes that it starts, are in that network; other threads are not.

use std::fs::File;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sched::{CloneFlags, setns};

/// A handle on a network namespace. It stays valid, if empty, when the node or the pod is gone.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    file: Arc<File>,
}

impl Network {
    /// The network namespace of a process.
    pub(crate) fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/ns/net");
        let file = File::open(&path).with_context(|| format!("cannot open {path} (root is needed)"))?;
        Ok(Self { file: Arc::new(file) })
    }

    /// Moves the current thread into it, for good.
    pub(crate) fn enter(&self) -> Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).context("cannot enter the network (root is needed)")
    }

    /// Runs `work` inside, on a thread of its own, and leaves the current thread where it is.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        thread::scope(|scope| {
            let thread = scope.spawn(|| self.enter().map(|()| work()));
            thread.join().map_err(|_| anyhow!("a thread inside the network ended early"))?
        })
    }
}
