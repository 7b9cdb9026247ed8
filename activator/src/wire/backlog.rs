//! Bytes that have come and are not to be seen yet.

use std::sync::Arc;

use tokio::io::ReadBuf;

use crate::path::room::{Part, Room};

/// The most that is read of one connection before its reader asks for it, in bytes.
const AHEAD: usize = 1024 * 1024;
/// The most by which memory for that grows at once.
const STEP: usize = 64 * 1024;

/// Between a socket and who reads from it: what waits for its rest, and what waits for its reader.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<u8>,
    ready: Vec<u8>,
    handed: usize,
    /// What of it was read before its reader asked for it.
    ahead: Option<Part>,
}

impl Backlog {
    /// How many bytes wait for their rest.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Memory for what is ready.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.ready.capacity()
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
            (self.ready, self.handed, self.ahead) = (Vec::new(), 0, None);
        }
        true
    }

    /// Takes room for so many bytes more that are read before their reader asks for them; false if there is none.
    pub(super) fn may_come_ahead(&mut self, room: &Arc<Room>, bytes: usize) -> bool {
        self.ready.len() + self.waiting.len() + bytes <= AHEAD
            && self.ahead.get_or_insert_with(|| Part::of(room)).grow(bytes)
    }

    /// These bytes came before their reader asked for them, and room was taken for `spare` more than them. `inspect` as in
    /// [`Backlog::came`]: what goes on is ready.
    pub(super) fn came_ahead(&mut self, bytes: &[u8], spare: usize, inspect: impl FnOnce(&[u8]) -> usize) {
        if let Some(ahead) = &mut self.ahead {
            ahead.shrink(spare);
        }
        if self.ready.capacity() - self.ready.len() < bytes.len() {
            self.ready.reserve_exact(bytes.len().max(self.ready.len().min(STEP)));
        }
        if self.waiting.is_empty() {
            let pass = inspect(bytes);
            self.ready.extend_from_slice(&bytes[..pass]);
            self.waiting.extend_from_slice(&bytes[pass..]);
        } else {
            self.waiting.extend_from_slice(bytes);
            self.look_again(inspect);
        }
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
