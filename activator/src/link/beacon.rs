//! What the rest of the process and the link know of each other: that there is something to report, and whether anybody
//! hears it.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Shared by the link and those who have something to say.
#[derive(Debug, Default)]
pub struct Beacon {
    urgent: Notify,
    attached: AtomicBool,
}

impl Beacon {
    /// Something changed that the leader should hear of now, not at the next heartbeat.
    pub fn urge(&self) {
        self.urgent.notify_one();
    }

    /// Resolves when there is something to say.
    pub async fn urged(&self) {
        self.urgent.notified().await;
    }

    /// Whether a leader listens.
    pub fn attached(&self) -> bool {
        self.attached.load(Ordering::Acquire)
    }

    /// Says whether a leader listens.
    pub fn set_attached(&self, attached: bool) {
        self.attached.store(attached, Ordering::Release);
    }
}
