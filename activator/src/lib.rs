//! Rouse's activator: the proxy that is always in the path of a function. It holds a request to a function at zero,
//! wakes the function, proves its pods ready, forwards, and counts.
//!
//! The request path is one function, `path::build`. What it reads is kept by one synchronous index, fed by the watches and
//! by the leader's orders.
//!
//! With `--cfg loom` only the slot word, the queue and their model tests are built:
//! `RUSTFLAGS="--cfg loom" cargo test -p activator --lib --release`.

#[cfg(loom)]
#[path = "hold/queue.rs"]
pub mod queue;
#[cfg(loom)]
#[path = "pods/slot.rs"]
pub mod slot;

#[cfg(not(loom))]
pub mod app;
#[cfg(not(loom))]
pub mod args;
#[cfg(not(loom))]
pub mod clock;
#[cfg(not(loom))]
pub mod debug;
#[cfg(not(loom))]
pub mod function;
#[cfg(not(loom))]
pub mod hold;
#[cfg(not(loom))]
pub mod index;
#[cfg(not(loom))]
pub mod link;
#[cfg(not(loom))]
pub mod metrics;
#[cfg(not(loom))]
pub mod net;
#[cfg(not(loom))]
pub mod path;
#[cfg(not(loom))]
pub mod pods;
#[cfg(not(loom))]
pub mod pool;
#[cfg(not(loom))]
pub mod probe;
#[cfg(not(loom))]
pub mod routes;
#[cfg(not(loom))]
pub mod server;
#[cfg(not(loom))]
pub mod wake;
#[cfg(not(loom))]
pub mod watch;
#[cfg(not(loom))]
pub mod wire;

#[cfg(not(loom))]
#[cfg(test)]
mod simulated;
#[cfg(not(loom))]
#[cfg(test)]
mod spelling;
#[cfg(not(loom))]
#[cfg(test)]
mod world;
