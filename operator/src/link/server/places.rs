//! How many connections there may be, in all and from one address, so that nobody who can reach the port keeps the
//! activators out.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::link::limits;

/// The places of one server.
#[derive(Clone, Debug)]
pub(super) struct Places {
    all: Arc<Semaphore>,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A place that is taken; dropping it gives it back.
#[derive(Debug)]
pub(in crate::link) struct Place {
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _one: OwnedSemaphorePermit,
}

impl Places {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(limits::CONNECTIONS)), by_address: Arc::default() }
    }

    /// Waits for a place, whoever comes then.
    pub(super) async fn any(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.all).acquire_owned().await.ok()
    }

    /// Gives the place to a caller, unless it has too many already.
    pub(super) fn give(&self, one: OwnedSemaphorePermit, address: IpAddr) -> Option<Place> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = by_address.entry(address).or_default();
        if *taken >= limits::CONNECTIONS_PER_ADDRESS {
            return None;
        }
        *taken += 1;
        Some(Place { address, by_address: Arc::clone(&self.by_address), _one: one })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = by_address.get_mut(&self.address) {
            *taken -= 1;
            if *taken == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_all_places() {
        let places = Places::new();
        let (greedy, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut taken = Vec::new();
        for _ in 0..limits::CONNECTIONS_PER_ADDRESS {
            taken.push(places.give(places.any().await.unwrap(), greedy).unwrap());
        }
        assert!(places.give(places.any().await.unwrap(), greedy).is_none());
        let place = places.give(places.any().await.unwrap(), other).unwrap();
        taken.pop();
        assert!(places.give(places.any().await.unwrap(), greedy).is_some(), "a place that is given back is free");
        drop((taken, place));
        assert!(places.by_address.lock().unwrap().is_empty());
        assert_eq!(places.all.available_permits(), limits::CONNECTIONS);
    }
}
