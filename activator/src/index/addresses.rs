//! Which pod has an IP: of those that show it, the newest (design decision 2). Pure. What comes out depends only on what is
//! shown now, so a pod gets its IP back once the newer one shows it no more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The IPs that pods show.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// By IP, the newest pod last. Almost always one.
    shown: HashMap<IpAddr, Vec<Claim>>,
    /// By the pod's UID.
    pods: HashMap<Arc<str>, IpAddr>,
}

#[derive(Debug)]
struct Claim {
    /// `metadata.creationTimestamp`, in seconds.
    created: i64,
    pod: Arc<str>,
}

impl Addresses {
    /// A pod shows this IP, or none. Of two pods made in the same second, the one that came to show it last counts as the
    /// newer. Returns the IP that it showed before, if that was another.
    pub(super) fn show(&mut self, pod: &Arc<str>, created: i64, ip: Option<IpAddr>) -> Option<IpAddr> {
        let before = self.pods.get(pod).copied();
        if before == ip {
            return None;
        }
        if let Some(before) = before {
            self.pods.remove(pod);
            if let Some(claims) = self.shown.get_mut(&before) {
                claims.retain(|claim| claim.pod != *pod);
                if claims.is_empty() {
                    self.shown.remove(&before);
                }
            }
        }
        if let Some(ip) = ip {
            self.pods.insert(Arc::clone(pod), ip);
            let claims = self.shown.entry(ip).or_default();
            let at = claims.partition_point(|claim| claim.created <= created);
            claims.insert(at, Claim { created, pod: Arc::clone(pod) });
        }
        before
    }

    /// The pod that has the IP, and the pods that only show it.
    pub(super) fn holder(&self, ip: IpAddr) -> Option<(&Arc<str>, impl Iterator<Item = &Arc<str>>)> {
        let (newest, older) = self.shown.get(&ip)?.split_last()?;
        Some((&newest.pod, older.iter().map(|claim| &claim.pod)))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.pods.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn holder(addresses: &Addresses, last: u8) -> Option<&str> {
        addresses.holder(ip(last)).map(|(pod, _)| &**pod)
    }

    #[test]
    fn the_newest_that_shows_an_ip_has_it() {
        let mut addresses = Addresses::default();
        let (old, new, twin): (Arc<str>, Arc<str>, Arc<str>) = ("old".into(), "new".into(), "twin".into());
        assert_eq!(addresses.show(&new, 2, Some(ip(1))), None);
        assert_eq!(addresses.show(&old, 1, Some(ip(1))), None);
        assert_eq!(holder(&addresses, 1), Some("new"), "whoever is seen first");
        addresses.show(&twin, 2, Some(ip(1)));
        assert_eq!(holder(&addresses, 1), Some("twin"), "made in the same second, come later");
        addresses.show(&new, 2, Some(ip(1)));
        assert_eq!(holder(&addresses, 1), Some("twin"), "the same word again changes nothing");
        let older: Vec<&str> = addresses.holder(ip(1)).unwrap().1.map(|pod| &**pod).collect();
        assert_eq!(older, ["old", "new"]);

        assert_eq!(addresses.show(&twin, 2, Some(ip(2))), Some(ip(1)));
        assert_eq!((holder(&addresses, 1), holder(&addresses, 2)), (Some("new"), Some("twin")));
        assert_eq!(addresses.show(&new, 2, None), Some(ip(1)));
        assert_eq!(holder(&addresses, 1), Some("old"));
        assert_eq!(addresses.show(&old, 1, None), Some(ip(1)));
        assert_eq!(addresses.show(&twin, 2, None), Some(ip(2)));
        assert!(addresses.is_empty(), "nothing is left of pods that are gone");
    }
}
