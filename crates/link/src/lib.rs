//! The link between activators and the operator's leader: the messages, and the TLS that needs no certificate authority.

pub mod pin;

/// Generated from `proto/link.proto`, where the messages are explained.
#[allow(missing_docs, unreachable_pub, clippy::all, clippy::pedantic, clippy::unwrap_used)]
pub mod v1 {
    tonic::include_proto!("rouse.link.v1");
}

/// How often an activator reports when nothing changes.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(1);
/// An activator whose last report is older than this is unknown: nothing is scaled down for want of knowledge.
pub const UNKNOWN_AFTER: std::time::Duration = std::time::Duration::from_secs(3);
/// How long an order holds that is not renewed.
pub const ORDER_VALID: std::time::Duration = std::time::Duration::from_secs(5);
/// Largest message in either direction, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
