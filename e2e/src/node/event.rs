//! What a starting node tells the invocation that started it, as JSON lines on its standard output.

use std::io::Write;

use serde::{Deserialize, Serialize};

/// A sign of progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// A step begins; the one before it has ended.
    Step(String),
    /// The node serves. Nothing follows.
    Ready,
    /// The node could not be started and is going away. Nothing follows.
    Failed(String),
}

impl Event {
    /// Writes it. False when nobody listens any more.
    pub(crate) fn send(&self) -> bool {
        let Ok(line) = serde_json::to_string(self) else { return false };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
    }
}
