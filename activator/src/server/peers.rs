//! How many connections each address has, and which have flooded theirs.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For so long the next HTTP/2 connections of an address wait that has flooded one. Whoever is cut off would otherwise be
/// back at once, and its connections would cost more than what they are cut off for. Others behind the same address lose no
/// more than this time, and nothing on the connections that they have.
const CALM: Duration = Duration::from_secs(1);

/// The connections of this process, by the address they come from.
#[derive(Debug)]
pub(super) struct Peers {
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
    /// When each address that has flooded a connection may go on.
    calm: Mutex<HashMap<IpAddr, Instant>>,
}

/// One connection; counted until dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Peers {
    /// None yet, and at most so many of one address.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, open: Mutex::default(), calm: Mutex::default() })
    }

    /// Counts a further connection of this address, if it may have one.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let address = subscriber(address);
        let mut open = self.lock();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Admitted { peers: Arc::clone(self), address })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn calm(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.calm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admitted {
    /// Its caller has flooded it.
    pub(super) fn flooded(&self, now: Instant) {
        let mut calm = self.peers.calm();
        calm.retain(|_, until| *until > now);
        calm.insert(self.address, now + CALM);
    }

    /// When it may go on, if it is to wait because of another one.
    pub(super) fn waits(&self, now: Instant) -> Option<Instant> {
        self.peers.calm().get(&self.address).copied().filter(|until| *until > now)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.peers.lock().entry(self.address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What one subscriber has: an address of IPv4, however written, or the first half of one of IPv6 (RFC 6177).
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let peers = Peers::new(2);
        let admit = |address: &str| peers.admit(address.parse().unwrap());
        let first = admit("10.0.0.1").unwrap();
        let _second = admit("::ffff:10.0.0.1").unwrap();
        assert!(admit("10.0.0.1").is_none());
        let _other = admit("10.0.0.2").unwrap();
        drop(first);
        let _third = admit("10.0.0.1").unwrap();
        assert!(admit("::ffff:10.0.0.1").is_none());
        let _network = (admit("2001:db8:0:1::1").unwrap(), admit("2001:db8:0:1:ffff::2").unwrap());
        assert!(admit("2001:db8:0:1::3").is_none());
        drop(admit("2001:db8:0:2::1").unwrap());
        assert_eq!(peers.lock().len(), 3, "nothing is kept of an address without a connection");
    }

    #[test]
    fn who_has_flooded_one_waits_with_the_next() {
        let now = Instant::now();
        let peers = Peers::new(10);
        let admit = |address: &str| peers.admit(address.parse().unwrap()).unwrap();
        admit("10.0.0.1").flooded(now);
        assert_eq!(admit("10.0.0.1").waits(now), Some(now + CALM));
        assert_eq!(admit("10.0.0.1").waits(now + CALM), None);
        assert_eq!(admit("10.0.0.2").waits(now), None);
        admit("10.0.0.2").flooded(now + CALM);
        assert_eq!(peers.calm().len(), 1, "nothing is kept of what is over");
    }
}
