//! A load of Debian's `h2load` on a server in a pod: requests, latency, CPU time and memory in a window of time well inside
//! the load ([`run`]).

mod command;
mod figures;
mod run;
mod usage;

use std::fmt;

use serde::Serialize;

pub use figures::Figures;
pub(super) use run::Generator;
pub(crate) use usage::Processes;

/// What the load generator speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each kept connection.
    Http1,
    /// HTTP/2 with prior knowledge, one stream at a time on each connection, so that as many requests are under way as
    /// with HTTP/1.1.
    H2c,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "http1",
            Self::H2c => "h2c",
        })
    }
}

/// What is asked, again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) protocol: Protocol,
    /// Connections, each with one request under way.
    pub(super) connections: u32,
    /// Path and query of each request.
    pub(super) path: String,
    /// Size of each answer's body.
    pub(super) body_bytes: u64,
}
