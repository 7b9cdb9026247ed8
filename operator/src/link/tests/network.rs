//! The leader and several activators over a network that is cut, slow or one-way, with processes that are killed, stand
//! still or come back as another: TCP is simulated, TLS, gRPC, the service, the board and the scaler are the real ones, and
//! the activators count truly. Faults are drawn from a seed. At each lowering everything is asked that the leader cannot see.
//!
//! `ROUSE_LINK_SEEDS=FROM..TO` runs others, or more. The order in which a runtime polls what is ready is not drawn from the
//! seed: one that fails once in a while is run often.

mod activator;
mod faults;
mod leader;
mod net;
mod truth;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use rand::Rng;

use crate::scaling::{known::NOT_READY_COUNTS, write::WRITE};
use faults::{Fault, Going, Way};
use net::{Later, Net, REPLICAS, at_most};
use truth::{API, Activator, Counts, TICK, WINDOW};

const SEEDS: std::ops::Range<u64> = 0..200;
/// How long things go wrong.
const CHAOS: Duration = Duration::from_secs(12);
/// Until everybody is attached again once nothing is wrong: a stream that is dead and not yet given up (4 s), the longest
/// pause (2 s), and an attempt (two deadlines of 3 s), with a second over.
const BACK: Duration = Duration::from_secs(13);
/// Until everything is at zero after that: who waits may wait for an order to lapse (5 s), and takes up to 3 s then; the
/// window; and what a drain takes.
const DOWN: Duration = Duration::from_secs(5 + 3 + WINDOW.as_secs() + 2);

impl Net {
    fn heads(&self) -> (i64, i64) {
        let inner = self.truth.lock();
        let term = inner.terms.iter().find(|term| term.epoch == self.epoch);
        term.map_or((0, 0), |term| (term.metrics.known.get(), term.metrics.unknown.get()))
    }

    fn is_whole(&self) -> bool {
        let counting = self.truth.lock().activators.values().filter(|activator| activator.counts).count();
        self.heads() == (i64::try_from(counting).unwrap(), 0)
    }

    fn is_down(&self) -> bool {
        (1..=self.revision).all(|revision| self.cluster.replicas(&format!("f-{revision}")) == 0)
    }

    /// All is well: everybody is heard soon, everything comes down, and the counts are exact. Gives whether it is known what
    /// they have to be.
    fn settle(&mut self) -> (Duration, Duration, bool) {
        let back = self.until("everybody is heard", BACK, Self::is_whole);
        let down = self.until("everything is down", DOWN, Self::is_down);
        self.pass(Duration::from_secs(2));
        let now = self.now();
        let mut inner = self.truth.lock();
        let term = inner.terms.iter().position(|term| term.epoch == self.epoch).unwrap();
        let (least, most) = inner.bounds(term, now);
        let counted = inner.terms[term].metrics.added();
        assert!(
            at_most(&least, &counted) && at_most(&counted, &most),
            "{counted:?}, but at least {least:?} and at most {most:?}, after {:#?}",
            self.faults
        );
        (back, down, least == most && most.requests > 0)
    }
}

/// What came of one seed.
#[derive(Clone, Copy, Debug, Default)]
struct Run {
    counts: Counts,
    back: Duration,
    down: Duration,
    exact: bool,
}

fn run(seed: u64) -> Run {
    let mut net = Net::new(seed, 2 + usize::try_from(seed % 2).unwrap());
    net.truth.lock().traffic = true;
    // In one of eight somebody serves who never attaches, and nothing may go down.
    let shy = (seed % 8 == 7).then(|| net.activators[0]);
    if let Some(name) = shy {
        net.truth.lock().activators.get_mut(name).unwrap().shy = true;
    }
    while net.now() < CHAOS {
        let pause = Duration::from_millis(net.random.random_range(100..1500));
        net.pass(pause);
        let fault = Fault::draw(&mut net.random, net.activators.len(), API);
        net.faults.push((net.now(), fault));
        net.wrong(fault);
    }
    if shy.is_some() {
        assert_eq!(net.truth.lock().counts.lowered, 0, "somebody was never heard");
    }
    // In one of eight somebody does not come back, and its pod is deleted.
    if seed % 8 == 3 {
        let gone = net.activators.len() - 1;
        net.later.retain(|(_, later)| !matches!(later, Later::Boot { activator } if *activator == gone));
        if !net.dead.contains(&gone) {
            net.kill(gone);
        }
        net.pass(Duration::from_secs(4));
        net.cluster.activator_gone(net.activators[gone]);
        net.truth.lock().activators.get_mut(net.activators[gone]).unwrap().counts = false;
    }
    net.mend();
    let (back, down, exact) = net.settle();
    Run { counts: net.truth.lock().counts, back, down, exact }
}

fn seeds() -> std::ops::Range<u64> {
    let Ok(asked) = std::env::var("ROUSE_LINK_SEEDS") else { return SEEDS };
    let (from, to) = asked.split_once("..").expect("FROM..TO");
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn whatever_fails_the_counts_stay_true_and_nothing_is_lowered_that_may_be_needed() {
    let (seeds, runs) = (seeds(), Mutex::new(Vec::new()));
    let next = AtomicU64::new(seeds.start);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, |threads| threads.get().min(4)) {
            scope.spawn(|| {
                while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < seeds.end) {
                    match catch_unwind(AssertUnwindSafe(|| run(seed))) {
                        Ok(run) => runs.lock().unwrap().push(run),
                        Err(panic) => {
                            eprintln!("It was seed {seed}: ROUSE_LINK_SEEDS={seed}..{}", seed + 1);
                            next.store(seeds.end, Ordering::Relaxed);
                            resume_unwind(panic);
                        }
                    }
                }
            });
        }
    });
    let runs = runs.into_inner().unwrap();
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    let exact = sum(|run| run.exact.into());
    let (lowered, idle) = (sum(|run| run.counts.lowered), sum(|run| run.counts.idle));
    let (lapsed, attached) = (sum(|run| run.counts.lapsed), sum(|run| run.counts.attached));
    let most = |of: fn(&Run) -> Duration| runs.iter().map(of).max().unwrap_or_default();
    println!("{} runs, {exact} with exact counts: {lowered} lowerings, {idle} for idleness", runs.len());
    println!("{lapsed} orders lapsed, {attached} streams; back after {:?}", most(|run| run.back));
    println!("down after {:?}", most(|run| run.down));
    if seeds == SEEDS {
        assert!(
            exact > 30 && lowered > 400 && idle > 150 && lapsed > 30 && attached > 700,
            "the faults miss their aim"
        );
    }
}

#[test]
fn an_activator_on_a_lost_node_holds_everything_up_for_a_minute_and_no_longer() {
    let mut net = Net::new(1, 2);
    net.pass(Duration::from_secs(2));
    net.sim.partition(net.activators[1], REPLICAS[0]);
    net.cluster.activator_lost("b");
    net.pass(NOT_READY_COUNTS - Duration::from_secs(2));
    assert!(!net.is_down(), "it may be serving requests");
    net.truth.lock().activators.get_mut("b").unwrap().counts = false;
    net.until("it counts no more", Duration::from_secs(6), Net::is_down);
}

#[test]
fn a_write_that_takes_its_time_never_meets_an_order_that_has_lapsed() {
    let mut net = Net::new(3, 2);
    net.truth.lock().traffic = true;
    net.pass(Duration::from_secs(3));
    let flying = |net: &Net, count| {
        let mut inner = net.truth.lock();
        let first = inner.activators.get_mut("a").unwrap();
        first.process.as_mut().unwrap().in_flight.insert("p1".to_owned(), count);
        first.news.notify_one();
    };
    // One activator is not done with the old revision.
    flying(&net, 1);
    net.roll_out();
    net.pass(Duration::from_secs(3));
    let issued = |net: &Net| {
        let inner = net.truth.lock();
        let process = inner.activators["b"].process.as_ref();
        process.and_then(truth::Process::acknowledgement).map(|ack| ack.issued_ms)
    };
    let before = issued(&net);
    net.until("the order is renewed", Duration::from_secs(2), |net| issued(net) != before);
    // The other hears nothing from now on, and is heard until it gives the leader up.
    net.wrong(Fault::Hold { activator: 1, replicas: 1, way: Way::Down, lasts: Duration::from_secs(8) });
    net.pass(Duration::from_millis(3600));
    assert_eq!(net.heads(), (2, 0));
    net.cluster.api().write_delay = WRITE - Duration::from_millis(100);
    flying(&net, 0);
    net.pass(Duration::from_secs(4));
    assert_eq!(net.truth.lock().counts.lowered, 0, "the order had lapsed before the write was taken");
    net.cluster.api().write_delay = Duration::ZERO;
    net.until("it is heard again", BACK, Net::is_whole);
    net.until("the old revision is down", DOWN, |net| net.cluster.replicas("f-1") == 0);
}

#[test]
fn a_leader_that_takes_over_in_the_middle_of_a_drain_goes_on_with_orders_of_its_own() {
    let mut net = Net::new(2, 2);
    net.truth.lock().traffic = true;
    net.pass(Duration::from_secs(4));
    net.truth.lock().traffic = false;
    // The leader dies when it has written nothing yet: the API server is away.
    net.cluster.api().refuse = true;
    let drained = |net: &Net| {
        let inner = net.truth.lock();
        let drains =
            |activator: &Activator| activator.process.as_ref().is_some_and(|one| one.acknowledgement().is_some());
        inner.activators.values().all(drains)
    };
    net.until("both drain", DOWN, drained);
    net.change(Going::Killed, Duration::from_secs(1));
    net.cluster.api().refuse = false;
    net.pass(Duration::from_secs(1) + TICK);
    // It knows nothing of the window, but they have waited it out.
    let down = net.until("everything is down", Duration::from_secs(5), Net::is_down);
    assert_eq!((net.epoch, net.truth.lock().counts.lowered), (2, 1));
    assert!(down < WINDOW, "idle time outlives the leader: {down:?}");
}
