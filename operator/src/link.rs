//! The leader's side of the link: activators attach to it over TLS, report exact counts and get orders.
//!
//! [`board`] holds what they said and is what everybody else reads; [`activator`] is one of them, a pure value that checks
//! every report; [`service`] authenticates ([`token`]) and serves one stream each ([`exchange`]); [`server`] listens;
//! [`publish`] tells activators where.

pub mod activator;
pub mod board;
pub mod exchange;
pub mod limits;
pub mod metrics;
pub mod news;
pub mod publish;
pub mod roster;
pub mod server;
pub mod service;
pub mod token;
pub mod violation;

#[cfg(test)]
pub(crate) mod tests;

pub use board::Board;
pub use metrics::Metrics;
