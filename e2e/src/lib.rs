//! The end-to-end tools behind `cargo e2e`: a real single-node Kubernetes, container images without a
//! container engine, and what tests and benches need to use both.
//!
//! A test reaches the node like this:
//! ```no_run
//! use e2e::{cluster::Cluster, kube};
//!
//! fn main() -> anyhow::Result<()> {
//!     let cluster = Cluster::select(None)?;
//!     cluster.runtime()?.block_on(async {
//!         let client = kube::client(&cluster).await?;
//!         println!("{}", client.apiserver_version().await?.git_version);
//!         Ok(())
//!     })
//! }
//! ```

pub mod audit;
pub mod bench;
mod cache;
mod cargo;
pub mod chart;
pub mod cluster;
pub mod commands;
pub mod entry;
pub mod http;
pub mod images;
pub mod install;
pub mod inventory;
pub mod kube;
pub mod load;
pub mod logs;
pub mod metrics;
pub mod node;
pub mod packets;
pub mod pages;
mod parts;
mod port_forward;
pub mod preflight;
pub mod readers;
pub mod record;
pub mod rouse;
pub mod scene;
pub mod soak;
pub mod steps;
mod stored;

pub use cache::repository;
