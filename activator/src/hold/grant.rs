//! Leave to send one request to one pod.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::function::Function;
use crate::pods::{Pod, Taken};

/// A slot at a pod, and for a request from the queue its share of the pace.
#[derive(Debug)]
pub struct Grant {
    /// The slot.
    pub taken: Taken,
    /// The share; to be given up when the response begins, or after [`Soft::lasts`].
    pub soft: Option<Soft>,
    /// When it was given: the end of the wait, however late the task of the request runs.
    pub at: Instant,
}

impl Grant {
    /// For a request that need not wait.
    pub fn at_once(taken: Taken) -> Self {
        Self { taken, soft: None, at: Instant::now() }
    }

    /// For the first in the queue. Its share counts for as long as `lasts`.
    pub fn from_queue(function: &Arc<Function>, taken: Taken, lasts: Duration) -> Self {
        let pod = Arc::clone(taken.pod());
        pod.soft.fetch_add(1, Ordering::AcqRel);
        Self { taken, soft: Some(Soft { function: Arc::clone(function), pod, lasts }), at: Instant::now() }
    }
}

/// A released request whose response has not begun. When dropped, the queue moves on.
#[derive(Debug)]
pub struct Soft {
    function: Arc<Function>,
    pod: Arc<Pod>,
    lasts: Duration,
}

impl Soft {
    /// For so long it may hold up the queue.
    pub fn lasts(&self) -> Duration {
        self.lasts
    }
}

impl Drop for Soft {
    fn drop(&mut self) {
        self.pod.soft.fetch_sub(1, Ordering::AcqRel);
        self.function.release();
    }
}
