//! Which pod gets the next request: the one with the fewest in flight from here.

use std::sync::Arc;

use super::Pod;

/// A slot at a pod; given back when dropped.
#[derive(Debug)]
pub struct Taken {
    pod: Arc<Pod>,
}

impl Taken {
    /// The pod.
    pub fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.pod.slots.free();
    }
}

/// Takes a slot at the ready pod with the fewest requests in flight among those that `fits`; ties go to the first, so that
/// at low load the later pods are the idle ones. `None` if no ready pod fits or all are drained.
pub fn fewest(pods: &[Arc<Pod>], fits: impl Fn(&Pod) -> bool) -> Option<Taken> {
    // A pod that is drained between the look and the take drops out of the next look, so this ends.
    loop {
        let mut best: Option<(&Arc<Pod>, u64)> = None;
        for pod in pods {
            let load = pod.slots.read();
            let better = best.is_none_or(|(_, fewest)| load.in_flight < fewest);
            if better && !load.drained && pod.is_ready() && fits(pod) {
                best = Some((pod, load.in_flight));
            }
        }
        let (pod, _) = best?;
        if pod.slots.take() {
            return Some(Taken { pod: Arc::clone(pod) });
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn the_least_busy_ready_pod_is_taken() {
        let pods: Vec<_> = ["a", "b", "c", "d"].iter().map(|uid| Pod::test(uid, "r1")).collect();
        assert!(fewest(&pods, |_| true).is_none(), "none is ready");
        for pod in &pods[..3] {
            pod.prove_ready(Instant::now());
        }
        pods[0].slots.drain();
        let first = fewest(&pods, |_| true).unwrap();
        assert_eq!(&*first.pod().uid, "b");
        let second = fewest(&pods, |_| true).unwrap();
        assert_eq!(&*second.pod().uid, "c");
        drop(first);
        assert_eq!(&*fewest(&pods, |_| true).unwrap().pod().uid, "b");
        assert_eq!(&*fewest(&pods, |pod| &*pod.uid != "b").unwrap().pod().uid, "c");
        pods[1].leave();
        pods[2].cast_doubt();
        assert!(fewest(&pods, |_| true).is_none());
        assert_eq!(second.pod().slots.read().in_flight, 1);
        drop(second);
        assert_eq!(pods[2].slots.read().in_flight, 0);
    }
}
