//! The sandbox process of a pod: it holds the pod's namespaces open, reaps what is orphaned in a
//! shared process namespace, and ends on SIGTERM or SIGINT.

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

fn main() -> Result<(), Errno> {
    let mut awaited = SigSet::empty();
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGCHLD] {
        awaited.add(signal);
    }
    // Blocked signals stay pending until `wait` takes them, so none is lost between two calls.
    awaited.thread_block()?;
    while awaited.wait()? == Signal::SIGCHLD {
        reap();
    }
    Ok(())
}

/// Several children may have ended behind one SIGCHLD.
fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            return;
        }
    }
}
