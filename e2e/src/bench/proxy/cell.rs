//! What is asked of every proxy in turn: one protocol, one number of connections, one size of body.

use std::fmt;

use serde::Serialize;

/// What the load generator speaks to the proxy. All of them speak HTTP/1.1 to the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on each kept connection.
    Http1,
    /// HTTP/2 with prior knowledge, one stream at a time on each connection, so that as many requests are under way as
    /// with HTTP/1.1.
    H2c,
}

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Connections, each with one request under way.
    pub connections: u32,
    /// Size of each answer's body.
    pub body_bytes: u64,
    /// Between load generator and proxy.
    pub protocol: Protocol,
}

const CONNECTIONS: [u32; 2] = [1, 64];
const BODY_BYTES: [u64; 3] = [13, 16 * 1024, 1024 * 1024];

impl Cell {
    /// All twelve, in the order of the report.
    pub fn all() -> Vec<Self> {
        let mut cells = Vec::new();
        for protocol in [Protocol::Http1, Protocol::H2c] {
            for connections in CONNECTIONS {
                cells.extend(BODY_BYTES.map(|body_bytes| Self { connections, body_bytes, protocol }));
            }
        }
        cells
    }

    /// Path and query of the request, which the test application answers with a body of this size.
    pub(super) fn path(self) -> String {
        format!("/bytes?n={}", self.body_bytes)
    }
}

/// `http1/64/13`: the name by which a user asks for it.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Http1 => "http1",
            Protocol::H2c => "h2c",
        };
        write!(f, "{protocol}/{}/{}", self.connections, self.body_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_cells_by_name() {
        let names: Vec<String> = Cell::all().iter().map(Cell::to_string).collect();
        let of = |protocol: &str| {
            ["1/13", "1/16384", "1/1048576", "64/13", "64/16384", "64/1048576"].map(|rest| format!("{protocol}/{rest}"))
        };
        assert_eq!(names, [of("http1"), of("h2c")].concat());
    }
}
