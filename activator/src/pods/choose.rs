//! Which pod gets the next request: the one with the fewest in flight from here. Among many pods, the better one of two that
//! are drawn: that is nearly as even (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001), costs the
//! same for any number, and activators that know nothing of one another do not all run to the same pod.

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

/// Up to so many pods are all looked at.
const EXACT: usize = 8;
/// Draws of two before all are looked at after all: a pod that is drained, not ready or does not fit may be drawn.
const DRAWS: u32 = 4;

/// Takes a slot at a ready pod that `fits`. Of up to 8 pods that is the one with the fewest requests in flight; ties go to
/// the first, so that at low load the later pods are the idle ones. Of more it is the better one of two. `None` if no ready
/// pod fits or all are drained.
pub fn fewest(pods: &[Arc<Pod>], fits: impl Fn(&Pod) -> bool) -> Option<Taken> {
    let load = |pod: &Arc<Pod>| {
        let load = pod.slots.read();
        (!load.drained && pod.is_ready() && fits(pod)).then_some(load.in_flight)
    };
    if pods.len() > EXACT {
        for _ in 0..DRAWS {
            let (first, second) = draw(pods);
            if let (Some(a), Some(b)) = (load(first), load(second)) {
                let pod = if b < a { second } else { first };
                if pod.slots.take() {
                    return Some(Taken { pod: Arc::clone(pod) });
                }
            }
        }
    }
    // A pod that is drained between the look and the take drops out of the next look, so this ends.
    loop {
        let mut best: Option<(&Arc<Pod>, u64)> = None;
        for pod in pods {
            if let Some(load) = load(pod)
                && best.is_none_or(|(_, fewest)| load < fewest)
            {
                best = Some((pod, load));
            }
        }
        let (pod, _) = best?;
        if pod.slots.take() {
            return Some(Taken { pod: Arc::clone(pod) });
        }
    }
}

/// Two different ones of two or more, the earlier one first.
fn draw(pods: &[Arc<Pod>]) -> (&Arc<Pod>, &Arc<Pod>) {
    let one = rand::random_range(0..pods.len());
    let other = rand::random_range(0..pods.len() - 1);
    let other = other + usize::from(other >= one);
    (&pods[one.min(other)], &pods[one.max(other)])
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

    fn ready(count: usize) -> Vec<Arc<Pod>> {
        let pods: Vec<_> = (0..count).map(|number| Pod::test(&number.to_string(), "r1")).collect();
        pods.iter().for_each(|pod| pod.prove_ready(Instant::now()));
        pods
    }

    fn loads(pods: &[Arc<Pod>]) -> Vec<u64> {
        pods.iter().map(|pod| pod.slots.read().in_flight).collect()
    }

    #[tokio::test]
    async fn up_to_eight_pods_are_loaded_evenly_and_more_nearly_so() {
        let pods = ready(8);
        let _taken: Vec<_> = (0..800).map(|_| fewest(&pods, |_| true).unwrap()).collect();
        assert_eq!(loads(&pods), [100; 8]);

        let pods = ready(100);
        let _taken: Vec<_> = (0..10_000).map(|_| fewest(&pods, |_| true).unwrap()).collect();
        // One drawn pod each would leave some 70 and some 130.
        assert!(loads(&pods).iter().all(|load| (90..=106).contains(load)), "{:?}", loads(&pods));
    }

    #[tokio::test]
    async fn the_one_of_many_that_takes_requests_is_found() {
        let pods = ready(50);
        for pod in &pods[..20] {
            pod.slots.drain();
        }
        pods[20..48].iter().for_each(|pod| pod.cast_doubt());
        for _ in 0..200 {
            assert_eq!(&*fewest(&pods, |pod| &*pod.uid != "49").unwrap().pod().uid, "48");
        }
        pods[48].cast_doubt();
        assert!(fewest(&pods, |pod| &*pod.uid != "49").is_none());
    }

    proptest::proptest! {
        /// Whoever is drained, not ready or does not fit gets nothing, and somebody does as long as there is anybody.
        #[test]
        fn nobody_is_taken_who_does_not_take_requests(states in proptest::collection::vec(0u8..4, 1..40)) {
            tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
                let pods = ready(states.len());
                for (pod, state) in pods.iter().zip(&states) {
                    match state {
                        0 => drop(pod.slots.drain()),
                        1 => pod.cast_doubt(),
                        _ => {}
                    }
                }
                let at = |pod: &Pod| states[pod.uid.parse::<usize>().unwrap()];
                for _ in 0..20 {
                    let taken = fewest(&pods, |pod| at(pod) != 2).map(|taken| at(taken.pod()));
                    assert_eq!(taken, states.contains(&3).then_some(3));
                }
            });
        }
    }
}
