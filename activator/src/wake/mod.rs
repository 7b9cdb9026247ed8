//! Waking: a function with held requests gets the replicas they need, by a patch of `/scale`, with or without the operator.

mod log;
pub mod plan;
pub mod refusal;
pub mod scale;
mod waker;
pub mod warm;

pub use log::{WakeLog, WakeTimes};
pub use waker::Waker;
