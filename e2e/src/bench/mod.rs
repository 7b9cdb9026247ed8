//! Benches: each measures its rival or its floor in the same run and prints a ratio.

pub mod cold_start;
pub mod cpu_limit;
pub mod frameworks;
pub mod h2load;
pub mod idle;
mod namespace;
pub mod proxy;
pub mod runtimes;
pub mod stats;
