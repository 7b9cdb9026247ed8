//! What is kept of a request's body while it is sent, so that it can be sent again: at most 64 KiB of one body, and no more
//! of all together than there is room for. A body that does not fit is passed on all the same; it just cannot be had back.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::room::{Part, Room};

/// The longest body that is kept, in bytes.
pub const LONGEST: usize = 64 * 1024;
/// A body whose length is not known begins with this much room.
const FIRST: usize = 4 * 1024;

/// The beginning of a body as it was read, whole up to here.
#[derive(Debug)]
pub struct Kept {
    bytes: Vec<u8>,
    trailers: Option<HeaderMap>,
    part: Part,
}

impl Kept {
    /// For a body of this many bytes, where that is known. `None` if it is too long, or there is no room.
    pub fn begin(room: &Arc<Room>, length: Option<u64>) -> Option<Self> {
        let length = length.map_or(Some(FIRST), |length| usize::try_from(length).ok())?;
        let mut kept = Self { bytes: Vec::new(), trailers: None, part: Part::of(room) };
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
        let fits = size <= LONGEST && self.part.grow(size);
        if fits {
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
        let fits = length <= LONGEST && self.part.grow(more);
        if fits {
            self.bytes.reserve_exact(length - self.bytes.len());
        }
        fits
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
