//! Every interleaving of what a gate does with its queue, with at most three preemptions where there are three threads.

use loom::sync::Arc;
use loom::sync::atomic::AtomicBool;
use loom::thread;

use super::*;

/// One share of a pod's pace. What takes it holds a [`Leave`], and gives it back.
#[derive(Debug, Default)]
struct Pod {
    free: AtomicUsize,
}

/// A grant.
#[derive(Debug)]
struct Leave(Arc<Pod>);

impl Leave {
    fn take(pod: &Arc<Pod>) -> Option<Self> {
        let took = pod.free.fetch_update(Ordering::AcqRel, Ordering::Acquire, |free| free.checked_sub(1));
        took.ok().map(|_| Self(Arc::clone(pod)))
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::AcqRel);
    }
}

/// The channel to one who waits: open, with a grant in it, or closed.
#[derive(Clone, Debug, Default)]
struct Slot(Arc<Mutex<Channel>>);

#[derive(Debug, Default)]
struct Channel {
    grant: Option<Leave>,
    closed: bool,
}

impl Slot {
    fn send(&self, grant: Leave) -> Result<(), Leave> {
        let mut channel = self.0.lock().unwrap();
        if channel.closed {
            return Err(grant);
        }
        channel.grant = Some(grant);
        Ok(())
    }

    fn close(&self) -> Option<Leave> {
        let mut channel = self.0.lock().unwrap();
        channel.closed = true;
        channel.grant.take()
    }

    fn is_granted(&self) -> bool {
        self.0.lock().unwrap().grant.is_some()
    }
}

/// A gate before one pod.
#[derive(Debug, Default)]
struct Gate {
    queue: Queue<Slot>,
    pod: Arc<Pod>,
    /// Not of the model: arrivals are numbered before they do anything.
    arrived: std::sync::atomic::AtomicU64,
}

impl Gate {
    fn with(free: usize) -> Arc<Self> {
        let gate = Self::default();
        gate.pod.free.store(free, Ordering::Release);
        Arc::new(gate)
    }

    fn free(&self) -> usize {
        self.pod.free.load(Ordering::Acquire)
    }

    /// As `Function::release`.
    fn release(&self) {
        let (_, unclaimed) = self.queue.serve(|| Leave::take(&self.pod), |slot: Slot, grant| slot.send(grant));
        drop(unclaimed);
    }

    /// A pod has room for one more, and somebody says so.
    fn make_room(&self) {
        self.pod.free.fetch_add(1, Ordering::AcqRel);
        self.release();
    }

    /// As `Function::enter`.
    fn enter(&self, most: usize) -> Came {
        let slot = Slot::default();
        let arrived = self.arrived.fetch_add(1, Ordering::Relaxed);
        match self.queue.enter(arrived, most, || Leave::take(&self.pod), slot.clone()) {
            Entered::Pass(grant) => Came::Passed(grant),
            Entered::Wait { place, wake } => {
                self.release();
                Came::Waits(slot, place, wake)
            }
            Entered::Full => Came::Full,
            Entered::Closed => Came::Closed,
        }
    }

    /// One who must wait.
    fn wait(&self) -> (Slot, u64) {
        match self.enter(9) {
            Came::Waits(slot, order, _) => (slot, order),
            other => panic!("{other:?}"),
        }
    }

    /// As a ticket that is dropped.
    fn cancel(&self, slot: &Slot, order: u64) {
        self.queue.leave(order);
        if let Some(grant) = slot.close() {
            drop(grant);
            self.release();
        }
    }
}

#[derive(Debug)]
enum Came {
    Passed(#[allow(dead_code)] Leave),
    Waits(Slot, u64, bool),
    Full,
    Closed,
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

fn beside<R: 'static>(gate: &Arc<Gate>, act: impl FnOnce(&Gate) -> R + 'static) -> thread::JoinHandle<R> {
    let gate = Arc::clone(gate);
    thread::spawn(move || act(&gate))
}

/// A request and a pod that come at the same moment meet, whoever is first.
#[test]
fn queue_nobody_waits_for_a_pod_that_is_there() {
    loom::model(|| {
        let gate = Gate::with(0);
        let pod = beside(&gate, Gate::make_room);
        let came = gate.enter(1);
        pod.join().unwrap();
        match came {
            Came::Passed(_) => {}
            Came::Waits(slot, ..) => assert!(slot.is_granted()),
            other => panic!("{other:?}"),
        }
    });
}

/// Somebody looks after everybody who waits: one that rests has seen the newcomer, or the newcomer is told.
#[test]
fn queue_nobody_waits_unattended() {
    loom::model(|| {
        let gate = Gate::with(0);
        let (_, order) = gate.wait();
        let attended = beside(&gate, |gate| !gate.queue.rest());
        gate.queue.leave(order);
        let Came::Waits(_, _, wake) = gate.enter(9) else { panic!() };
        assert_ne!(attended.join().unwrap(), wake);
    });
}

/// Of two that begin to wait at once, one is told to see to the waker, and not both.
#[test]
fn queue_two_who_come_at_once_make_one_wake() {
    loom::model(|| {
        let gate = Gate::with(0);
        let wakes = |came: Came| matches!(came, Came::Waits(_, _, true));
        let other = beside(&gate, move |gate| wakes(gate.enter(9)));
        let own = wakes(gate.enter(9));
        assert_ne!(own, other.join().unwrap());
    });
}

/// A grant that meets its waiter's departure goes to the next one; it is not lost, and nobody has it twice.
#[test]
fn queue_a_grant_that_meets_a_departure_is_the_next_ones() {
    model(|| {
        let gate = Gate::with(0);
        let (first, order) = gate.wait();
        let (second, _) = gate.wait();
        let pod = beside(&gate, Gate::make_room);
        gate.cancel(&first, order);
        pod.join().unwrap();
        assert!(second.is_granted() && !first.is_granted());
        assert_eq!((gate.queue.length(), gate.free()), (0, 0));
    });
}

/// The same with nobody behind: the grant is free for whoever comes.
#[test]
fn queue_a_grant_that_nobody_takes_is_free_again() {
    model(|| {
        let gate = Gate::with(0);
        let (only, order) = gate.wait();
        let pod = beside(&gate, Gate::make_room);
        gate.cancel(&only, order);
        pod.join().unwrap();
        assert_eq!((gate.queue.length(), gate.free()), (0, 1));
        assert!(matches!(gate.enter(9), Came::Passed(_)));
    });
}

/// What becomes free goes to whoever waits, and never to one that comes at that moment.
#[test]
fn queue_a_newcomer_does_not_overtake() {
    model(|| {
        let gate = Gate::with(0);
        let (early, _) = gate.wait();
        let pod = beside(&gate, Gate::make_room);
        let late = gate.enter(9);
        pod.join().unwrap();
        let Came::Waits(late, ..) = late else { panic!("{late:?}") };
        assert!(early.is_granted() && !late.is_granted());
    });
}

/// Two that announce room at once serve everybody there is room for, each once.
#[test]
fn queue_two_announcers_serve_two() {
    model(|| {
        let gate = Gate::with(0);
        let waiting = [gate.wait().0, gate.wait().0, gate.wait().0];
        let other = beside(&gate, Gate::make_room);
        gate.make_room();
        other.join().unwrap();
        assert_eq!(waiting.each_ref().map(Slot::is_granted), [true, true, false]);
        assert_eq!((gate.queue.length(), gate.free()), (1, 0));
    });
}

/// One that comes as the gate closes is turned away, or is among those who are told.
#[test]
fn queue_nobody_waits_behind_a_closed_gate() {
    loom::model(|| {
        let gate = Gate::with(0);
        let closing = beside(&gate, |gate| {
            gate.queue.close();
            gate.queue.clear().count()
        });
        let waits = match gate.enter(9) {
            Came::Waits(..) => 1,
            Came::Closed => 0,
            other => panic!("{other:?}"),
        };
        assert_eq!(closing.join().unwrap(), waits);
        assert_eq!(gate.queue.length(), 0);
        assert!(matches!(gate.enter(9), Came::Closed));
    });
}

/// One that leaves as all are told to is told or gone, and is counted no more.
#[test]
fn queue_who_leaves_as_all_do_leaves_once() {
    loom::model(|| {
        let gate = Gate::with(0);
        let (_, order) = gate.wait();
        let cleared = beside(&gate, |gate| gate.queue.clear().count());
        let left = gate.queue.leave(order);
        assert_eq!(cleared.join().unwrap() + usize::from(left), 1);
        assert_eq!(gate.queue.length(), 0);
    });
}

/// However many come at once, no more wait than may.
#[test]
fn queue_a_limit_holds_for_two_who_come_at_once() {
    loom::model(|| {
        let gate = Gate::with(0);
        let waits = |came: Came| match came {
            Came::Waits(..) => 1,
            Came::Full => 0,
            other => panic!("{other:?}"),
        };
        let other = beside(&gate, move |gate| waits(gate.enter(1)));
        let own = waits(gate.enter(1));
        assert_eq!(own + other.join().unwrap(), 1);
        assert_eq!(gate.queue.length(), 1);
    });
}

/// Whoever comes back to its old place has it, though somebody waits who came later and room is made at that moment.
#[test]
fn queue_who_comes_back_is_first() {
    model(|| {
        let gate = Gate::with(0);
        let (first, order) = gate.wait();
        gate.make_room();
        let used = first.close().unwrap();
        // It has left, and its room is gone with the pod.
        gate.queue.leave(order);
        drop(used);
        gate.pod.free.store(0, Ordering::Release);
        let (later, _) = gate.wait();
        let (again, came) = (Slot::default(), Arc::new(AtomicBool::new(false)));
        let pod = {
            let came = Arc::clone(&came);
            beside(&gate, move |gate| {
                let was_there = came.load(Ordering::Acquire);
                gate.make_room();
                was_there
            })
        };
        let entered = gate.queue.enter(order, usize::MAX, || None::<Leave>, again.clone());
        assert!(matches!(entered, Entered::Wait { .. }), "the limit is not for those who were let in");
        came.store(true, Ordering::Release);
        let was_there = pod.join().unwrap();
        assert!(again.is_granted() != later.is_granted() && (again.is_granted() || !was_there));
    });
}
