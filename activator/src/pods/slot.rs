//! The drained flag and the in-flight count of a pod, in one atomic word.
//!
//! Both in one word is what makes a drain safe: a request that took its slot before the flag was set is in the count that
//! the acknowledgement carries, and one that comes later cannot take a slot at all. With two words there is an
//! interleaving in which the count reads 0, the pod is deleted, and a request is on its way to it.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

const DRAINED: u64 = 1 << 63;

/// What one read of the word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Whether the pod takes no new request.
    pub drained: bool,
    /// Requests in flight from this activator to the pod.
    pub in_flight: u64,
}

/// The slots of one pod. Unbounded in number; closed while drained.
#[derive(Debug)]
pub struct Slots {
    word: AtomicU64,
}

impl Slots {
    /// No request in flight; drained from the start if `drained`.
    #[cfg(not(loom))]
    pub const fn new(drained: bool) -> Self {
        Self { word: AtomicU64::new(if drained { DRAINED } else { 0 }) }
    }

    /// No request in flight; drained from the start if `drained`.
    #[cfg(loom)]
    pub fn new(drained: bool) -> Self {
        Self { word: AtomicU64::new(if drained { DRAINED } else { 0 }) }
    }

    /// Takes a slot; false if the pod is drained. Every slot taken is given back by [`Slots::free`].
    #[must_use]
    pub fn take(&self) -> bool {
        let mut seen = self.word.load(Ordering::Relaxed);
        loop {
            if seen & DRAINED != 0 {
                return false;
            }
            match self.word.compare_exchange_weak(seen, seen + 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(now) => seen = now,
            }
        }
    }

    /// Gives a slot back.
    pub fn free(&self) {
        self.word.fetch_sub(1, Ordering::AcqRel);
    }

    /// Sets the flag, then reads the count. From the return on, the count only falls: this is what an acknowledgement
    /// may say.
    pub fn drain(&self) -> Load {
        self.word.fetch_or(DRAINED, Ordering::AcqRel);
        self.read()
    }

    /// Clears the flag: the pod takes requests again.
    pub fn restore(&self) {
        self.word.fetch_and(!DRAINED, Ordering::AcqRel);
    }

    /// Flag and count, of one moment.
    pub fn read(&self) -> Load {
        let word = self.word.load(Ordering::Acquire);
        Load { drained: word & DRAINED != 0, in_flight: word & !DRAINED }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_drained_pod_takes_nothing_and_keeps_its_count() {
        let slots = Slots::new(false);
        assert!(slots.take() && slots.take());
        assert_eq!(slots.drain(), Load { drained: true, in_flight: 2 });
        assert!(!slots.take());
        slots.free();
        assert_eq!(slots.drain(), Load { drained: true, in_flight: 1 });
        slots.restore();
        assert!(slots.take());
        assert_eq!(slots.read(), Load { drained: false, in_flight: 2 });
    }

    #[test]
    fn a_pod_can_begin_drained() {
        assert!(!Slots::new(true).take());
    }
}

#[cfg(all(test, loom))]
mod slot_model {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// Every interleaving with at most three preemptions: races need one or two, and the whole space takes minutes.
    fn model(check: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(check);
    }

    /// After an acknowledgement of 0 nobody is in flight and nobody gets in, however the threads interleave.
    #[test]
    fn slot_an_acknowledged_zero_stays_zero() {
        model(|| {
            let slots = Arc::new(Slots::new(false));
            let inside = Arc::new(AtomicU64::new(0));
            let requests: Vec<_> = (0..2)
                .map(|_| {
                    let (slots, inside) = (slots.clone(), inside.clone());
                    thread::spawn(move || {
                        if slots.take() {
                            inside.fetch_add(1, Ordering::SeqCst);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            slots.free();
                        }
                    })
                })
                .collect();
            if slots.drain().in_flight == 0 {
                assert_eq!(inside.load(Ordering::SeqCst), 0);
                assert!(!slots.take());
                assert_eq!(slots.read().in_flight, 0);
            }
            for request in requests {
                request.join().unwrap();
            }
            assert_eq!(slots.read(), Load { drained: true, in_flight: 0 });
        });
    }

    /// The count an acknowledgement carries never rises before the pod is given back.
    #[test]
    fn slot_a_drained_count_only_falls() {
        model(|| {
            let slots = Arc::new(Slots::new(false));
            assert!(slots.take());
            let leaving = {
                let slots = slots.clone();
                thread::spawn(move || slots.free())
            };
            let coming = {
                let slots = slots.clone();
                thread::spawn(move || slots.take())
            };
            let first = slots.drain().in_flight;
            let second = slots.read().in_flight;
            assert!(second <= first);
            leaving.join().unwrap();
            let came = coming.join().unwrap();
            assert_eq!(slots.read().in_flight, u64::from(came));
        });
    }

    /// Draining and giving back at once loses no slot.
    #[test]
    fn slot_restore_keeps_the_count() {
        model(|| {
            let slots = Arc::new(Slots::new(true));
            let restoring = {
                let slots = slots.clone();
                thread::spawn(move || slots.restore())
            };
            let took = slots.take();
            restoring.join().unwrap();
            assert_eq!(slots.read(), Load { drained: false, in_flight: u64::from(took) });
        });
    }
}
