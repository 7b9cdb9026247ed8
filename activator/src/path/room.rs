//! Room in this process for bytes of bodies that are kept here though nobody has asked for them yet, or no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, and how many are taken.
#[derive(Debug)]
pub struct Room {
    most: usize,
    used: AtomicUsize,
}

impl Room {
    /// Empty.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, used: AtomicUsize::new(0) })
    }

    /// Bytes that are taken now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes so many more; false, and without effect, if there are not as many left.
    #[must_use]
    pub fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most;
        if !taken {
            self.give(bytes);
        }
        taken
    }

    /// Gives so many back.
    pub fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Some of a room, given back when dropped.
#[derive(Debug)]
pub struct Part {
    room: Arc<Room>,
    bytes: usize,
}

impl Part {
    /// None of it yet.
    pub fn of(room: &Arc<Room>) -> Self {
        Self { room: Arc::clone(room), bytes: 0 }
    }

    /// Takes so many bytes more; false, and without effect, if there is no room for them.
    #[must_use]
    pub fn grow(&mut self, bytes: usize) -> bool {
        let fits = self.room.take(bytes);
        if fits {
            self.bytes += bytes;
        }
        fits
    }

    /// Gives so many of them back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.room.give(bytes);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.room.give(self.bytes);
    }
}
