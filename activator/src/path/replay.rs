//! What is kept of a request's body while it is sent, so that it can be sent again: at most 64 KiB of one body, and no more
//! of all together than there is room for. A body that does not fit is passed on all the same; it just cannot be had back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::HeaderMap;

/// The longest body that is kept, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// A body whose length is not known begins with this much room.
const FIRST: usize = 4 * 1024;

/// Room for the kept bodies of this process, in bytes.
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

    fn take(&self, bytes: usize) -> bool {
        let taken = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= self.most;
        if !taken {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }
}

/// The beginning of a body as it was read, whole up to here.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    room: Arc<Room>,
    taken: usize,
}

impl Kept {
    /// For a body of this many bytes, where that is known. `None` if it is too long, or there is no room.
    pub fn begin(room: &Arc<Room>, length: Option<u64>) -> Option<Self> {
        let length = length.map_or(Some(FIRST), |length| usize::try_from(length).ok())?;
        let mut kept = Self { bytes: Vec::new(), trailers: None, room: Arc::clone(room), taken: 0 };
        kept.grow(length).then_some(kept)
    }

    /// Keeps more; false if it does not fit, and then nothing is of use any more.
    #[must_use]
    pub fn push(&mut self, more: &[u8]) -> bool {
        let length = self.bytes.len().saturating_add(more.len());
        let fits = length <= self.bytes.capacity() || (length <= LONGEST && self.grow(length.next_power_of_two()));
        if fits {
            self.bytes.extend_from_slice(more);
        }
        fits
    }

    /// Keeps the trailers; false if they do not fit.
    #[must_use]
    pub fn end(&mut self, trailers: &HeaderMap) -> bool {
        let size = trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        let fits = size <= LONGEST && self.room.take(size);
        if fits {
            self.taken += size;
            self.trailers = Some(trailers.clone());
        }
        fits
    }

    /// A copy of what there is.
    pub fn copy(&self) -> (Bytes, Option<HeaderMap>) {
        (Bytes::copy_from_slice(&self.bytes), self.trailers.clone())
    }

    fn grow(&mut self, length: usize) -> bool {
        let more = length.saturating_sub(self.bytes.capacity());
        let fits = length <= LONGEST && self.room.take(more);
        if fits {
            self.taken += more;
            self.bytes.reserve_exact(length - self.bytes.len());
        }
        fits
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.room.used.fetch_sub(self.taken, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_kept_up_to_its_limit() {
        let room = Room::new(1 << 20);
        assert!(Kept::begin(&room, Some(LONGEST as u64 + 1)).is_none());
        let mut kept = Kept::begin(&room, None).unwrap();
        assert!((0..64).all(|_| kept.push(&[7; 1024])));
        assert_eq!((kept.copy().0.len(), room.used()), (LONGEST, LONGEST));
        assert!(!kept.push(&[7]));
        drop(kept);
        assert_eq!(room.used(), 0);
    }

    #[test]
    fn all_together_have_a_limit_too() {
        let room = Room::new(10_000);
        let mut first = Kept::begin(&room, Some(6000)).unwrap();
        assert!(Kept::begin(&room, Some(4001)).is_none());
        let second = Kept::begin(&room, Some(4000)).unwrap();
        // What it was told is what it gets; more needs more room.
        assert!(first.push(&[0; 6000]) && !first.push(&[0]));
        drop(second);
        assert!(first.push(&[0]));
        let trailers = HeaderMap::from_iter([("a".parse().unwrap(), "b".parse().unwrap())]);
        assert!(first.end(&trailers));
        assert_eq!((room.used(), first.copy().1), (8192 + 34, Some(trailers)));
        drop(first);
        assert_eq!(room.used(), 0);
    }
}
