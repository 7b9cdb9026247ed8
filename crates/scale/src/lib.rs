//! How many replicas a function should have, from values alone: no clock is read and nothing is awaited here, `now` is
//! always an argument.

mod desired;
mod idle;

pub use desired::{Decision, Policy, Zero, desired, follow};
pub use idle::{Idle, IdleClock, Seen};
