//! The Rouse operator: reconciles Functions and Triggers, and, while it leads, sizes functions.

pub mod args;
pub mod boost;
pub mod context;
pub mod events;
pub mod failure;
pub mod function;
pub mod leadership;
pub mod link;
pub mod metrics;
pub mod recent;
pub mod run;
pub mod runtimes;
pub mod scaling;
pub mod settings;
pub mod status;
pub mod stores;
pub mod trigger;
pub mod work;

#[cfg(test)]
mod testing;
