//! The process's monotonic clock, as the leader is told it: time since the first look at it.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

static START: OnceLock<Instant> = OnceLock::new();

/// Time since a function of this module was first called, which `app::run` does first.
pub fn now() -> Duration {
    at(Instant::now())
}

/// The same for a moment, 0 for one before.
pub fn at(moment: Instant) -> Duration {
    moment.saturating_duration_since(*START.get_or_init(Instant::now))
}
