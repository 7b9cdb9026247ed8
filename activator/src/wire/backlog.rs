//! Bytes that have come and are not to be seen yet.

use tokio::io::ReadBuf;

/// Between a socket and who reads from it: what waits for its rest, and what waits for its reader.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<u8>,
    ready: Vec<u8>,
    handed: usize,
}

impl Backlog {
    /// How many bytes wait for their rest.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Hands over what is ready. Whether that was anything.
    pub(super) fn hand_over(&mut self, to: &mut ReadBuf<'_>) -> bool {
        let rest = self.ready.get(self.handed..).unwrap_or_default();
        let now = rest.len().min(to.remaining());
        if now == 0 {
            return false;
        }
        to.put_slice(&rest[..now]);
        self.handed += now;
        if self.handed == self.ready.len() {
            (self.ready, self.handed) = (Vec::new(), 0);
        }
        true
    }

    /// Bytes were read into `buf`, behind the first `before`. `inspect` says how many of what has come go on now: what
    /// of them was in `buf` alone stays in it, the rest is ready. What does not go on waits.
    pub(super) fn came(&mut self, buf: &mut ReadBuf<'_>, before: usize, inspect: impl FnOnce(&[u8]) -> usize) {
        let fresh = &buf.filled()[before..];
        let pass = if self.waiting.is_empty() {
            let pass = inspect(fresh);
            self.waiting.extend_from_slice(&fresh[pass..]);
            pass
        } else {
            self.waiting.extend_from_slice(fresh);
            self.look_again(inspect);
            0
        };
        buf.set_filled(before + pass);
    }

    /// The same for what waits.
    pub(super) fn look_again(&mut self, inspect: impl FnOnce(&[u8]) -> usize) {
        let pass = inspect(&self.waiting);
        self.ready.extend(self.waiting.drain(..pass));
    }

    /// This is ready in place of what waits.
    pub(super) fn replace(&mut self, bytes: &[u8]) {
        self.waiting = Vec::new();
        self.ready.extend_from_slice(bytes);
    }
}
