//! What is asked of every proxy in turn: one protocol, one number of connections, one size of body.

use std::fmt;

use serde::Serialize;

use crate::bench::h2load::{Load, Protocol};

/// One load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// Connections, each with one request under way.
    pub connections: u32,
    /// Size of each answer's body.
    pub body_bytes: u64,
    /// Between load generator and proxy. All of them speak HTTP/1.1 to the pod.
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

    /// Requests that the test application answers with a body of this size.
    pub(super) fn load(self) -> Load {
        let Self { connections, body_bytes, protocol } = self;
        Load { protocol, connections, path: format!("/bytes?n={body_bytes}"), body_bytes }
    }
}

/// `http1/64/13`: the name by which a user asks for it.
impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.protocol, self.connections, self.body_bytes)
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
        assert_eq!(Cell::all()[1].load().path, "/bytes?n=16384");
    }
}
