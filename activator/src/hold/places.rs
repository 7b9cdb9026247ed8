//! How much may be held: by the process in requests and bytes, and by one namespace of both.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::args::Limits;
use crate::path::fault::Share;

/// Held requests and the bytes of their heads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Requests.
    pub requests: usize,
    /// Bytes.
    pub bytes: usize,
}

impl Used {
    fn exceeds(self, limit: Used) -> bool {
        self.requests > limit.requests || self.bytes > limit.bytes
    }

    fn plus(self, bytes: usize) -> Used {
        Used { requests: self.requests + 1, bytes: self.bytes.saturating_add(bytes) }
    }

    fn minus(self, bytes: usize) -> Used {
        Used { requests: self.requests.saturating_sub(1), bytes: self.bytes.saturating_sub(bytes) }
    }
}

/// The places of this process.
#[derive(Debug)]
pub struct Places {
    process: Used,
    namespace: Used,
    used: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    process: Used,
    namespaces: HashMap<Arc<str>, Used>,
}

impl Taken {
    /// What the process and the namespace would hold with one request more.
    fn with(&self, namespace: &Arc<str>, bytes: usize) -> (Used, Used) {
        let own = self.namespaces.get(namespace).copied().unwrap_or_default();
        (self.process.plus(bytes), own.plus(bytes))
    }
}

/// One held request's place; given up when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    namespace: Arc<str>,
    bytes: usize,
}

impl Places {
    /// All free.
    pub fn new(limits: &Limits) -> Arc<Self> {
        let process = Used { requests: limits.max_held.get(), bytes: limits.max_held_bytes.get() };
        let percent = usize::from(limits.namespace_share_percent);
        let share = |whole: usize| (whole.saturating_mul(percent) / 100).max(1);
        let namespace = Used { requests: share(process.requests), bytes: share(process.bytes) };
        Arc::new(Self { process, namespace, used: Mutex::default() })
    }

    /// A place for a request of this namespace with a head of this many bytes.
    ///
    /// # Errors
    /// The share that is used up.
    pub fn take(self: &Arc<Self>, namespace: &Arc<str>, bytes: usize) -> Result<Place, Share> {
        let mut used = self.lock();
        let (process, own) = used.with(namespace, bytes);
        if process.exceeds(self.process) {
            return Err(Share::Process);
        }
        if own.exceeds(self.namespace) {
            return Err(Share::Namespace);
        }
        Ok(self.hand_out(&mut used, namespace, bytes))
    }

    /// A place for a request that had one, went out and came back unsent. It is let in whatever has come since: it was
    /// first, and its head is in memory as it is.
    pub fn take_again(self: &Arc<Self>, namespace: &Arc<str>, bytes: usize) -> Place {
        self.hand_out(&mut self.lock(), namespace, bytes)
    }

    fn hand_out(self: &Arc<Self>, used: &mut Taken, namespace: &Arc<str>, bytes: usize) -> Place {
        let (process, own) = used.with(namespace, bytes);
        used.process = process;
        used.namespaces.insert(Arc::clone(namespace), own);
        Place { places: Arc::clone(self), namespace: Arc::clone(namespace), bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the process may hold, and one namespace of it.
    pub fn most(&self) -> (Used, Used) {
        (self.process, self.namespace)
    }

    /// What each namespace holds now that holds anything.
    pub fn by_namespace(&self) -> BTreeMap<Arc<str>, Used> {
        self.lock().namespaces.iter().map(|(namespace, used)| (Arc::clone(namespace), *used)).collect()
    }

    /// What is held now.
    pub fn used(&self) -> Used {
        self.lock().process
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut used = self.places.lock();
        used.process = used.process.minus(self.bytes);
        if let Some(own) = used.namespaces.get_mut(&self.namespace) {
            *own = own.minus(self.bytes);
            if own.requests == 0 {
                used.namespaces.remove(&self.namespace);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(requests: usize, bytes: usize) -> Arc<Places> {
        let limits = Limits {
            max_held: requests.try_into().unwrap(),
            max_held_bytes: bytes.try_into().unwrap(),
            ..Limits::default()
        };
        Places::new(&limits)
    }

    #[test]
    fn a_namespace_cannot_take_it_all() {
        let places = places(4, 1000);
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        let first = places.take(&a, 10).unwrap();
        let _second = places.take(&a, 10).unwrap();
        assert_eq!(places.take(&a, 10).unwrap_err(), Share::Namespace);
        let _third = places.take(&b, 10).unwrap();
        let _fourth = places.take(&b, 10).unwrap();
        assert_eq!(places.take(&Arc::from("c"), 10).unwrap_err(), Share::Process);
        drop(first);
        assert_eq!(places.used().requests, 3);
        assert!(places.take(&a, 10).is_ok());
    }

    #[test]
    fn bytes_count_as_well_as_requests() {
        let places = places(100, 1000);
        let a = Arc::from("a");
        assert_eq!(places.take(&a, 501).unwrap_err(), Share::Namespace);
        let _place = places.take(&a, 500).unwrap();
        assert_eq!(places.take(&a, 1).unwrap_err(), Share::Namespace);
        assert!(places.take(&Arc::from("b"), 500).is_ok());
    }

    #[test]
    fn one_that_comes_back_is_let_in_and_counted() {
        let places = places(1, 1000);
        let a = Arc::from("a");
        let place = places.take(&a, 10).unwrap();
        let again = places.take_again(&a, 10);
        assert_eq!(places.used().requests, 2);
        drop(place);
        assert_eq!(places.take(&a, 10).unwrap_err(), Share::Process);
        drop(again);
        assert!(places.take(&a, 10).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_a_namespace_that_holds_nothing() {
        let places = places(4, 1000);
        drop(places.take(&Arc::from("a"), 10).unwrap());
        assert!(places.used.lock().unwrap().namespaces.is_empty());
    }
}
