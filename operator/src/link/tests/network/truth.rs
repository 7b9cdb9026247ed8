//! What really happens on the simulated hosts: every request, every pod, every order that is in force, and what every
//! leader could know of it. It is asked at each lowering whether that was safe.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use link::v1::{Acknowledgement, Orders};
use tokio::sync::Notify;

use crate::{
    link::{Metrics, activator::Added},
    scaling::{order::FRESH, write::WRITE},
};

/// UID of the Function.
pub(super) const FUNCTION: &str = "uf";
/// Its idle window.
pub(super) const WINDOW: Duration = Duration::from_secs(6);
/// The simulation looks at its hosts one after the other, and so far apart.
pub(super) const TICK: Duration = Duration::from_millis(25);
/// Longest time for one way to the API server.
pub(super) const API: Duration = Duration::from_millis(300);

/// Time of the simulation, on whichever host.
pub(super) fn now() -> Duration {
    turmoil::sim_elapsed().unwrap()
}

/// An order as an activator keeps it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    epoch: u64,
    id: u64,
    issued_ms: u64,
    pods: BTreeSet<String>,
    until: Duration,
}

/// An activator's process.
#[derive(Clone, Debug)]
pub(super) struct Process {
    pub(super) boot: u32,
    pub(super) started: Duration,
    pub(super) requests: u64,
    pub(super) in_flight: BTreeMap<String, u32>,
    pub(super) held: u32,
    /// When the last request ended.
    pub(super) ended: Option<Duration>,
    in_flight_us: u128,
    held_us: u128,
    at: Duration,
    epoch: u64,
    order: Option<Order>,
}

impl Process {
    fn new(boot: u32, now: Duration) -> Self {
        Self {
            boot,
            started: now,
            requests: 0,
            in_flight: BTreeMap::new(),
            held: 0,
            ended: None,
            in_flight_us: 0,
            held_us: 0,
            at: now,
            epoch: 0,
            order: None,
        }
    }

    /// Everything until now is in the totals.
    fn advance(&mut self, now: Duration) {
        let step = now.saturating_sub(self.at).as_micros();
        self.in_flight_us += u128::from(self.flying()) * step;
        self.held_us += u128::from(self.held) * step;
        self.at = self.at.max(now);
    }

    pub(super) fn flying(&self) -> u32 {
        self.in_flight.values().sum()
    }

    pub(super) fn totals(&mut self, now: Duration) -> Added {
        self.advance(now);
        Added {
            requests: self.requests,
            in_flight_request_ms: u64::try_from(self.in_flight_us / 1000).unwrap(),
            held_request_ms: u64::try_from(self.held_us / 1000).unwrap(),
        }
    }

    pub(super) fn is_drained(&self, pod: &str, now: Duration) -> bool {
        self.order.as_ref().is_some_and(|order| now < order.until && order.pods.contains(pod))
    }

    pub(super) fn acknowledgement(&self) -> Option<Acknowledgement> {
        let order = self.order.as_ref()?;
        let flying = order.pods.iter().filter_map(|pod| self.in_flight.get(pod)).sum();
        Some(Acknowledgement {
            epoch: order.epoch,
            function_uid: FUNCTION.to_owned(),
            order: order.id,
            held: self.held,
            in_flight: flying,
            requests: self.requests,
            issued_ms: order.issued_ms,
        })
    }

    fn obey(&mut self, orders: &Orders, now: Duration) {
        if orders.epoch < self.epoch {
            return;
        }
        self.epoch = orders.epoch;
        self.order = orders.drains.first().map(|drain| Order {
            epoch: orders.epoch,
            id: drain.order,
            issued_ms: orders.issued_ms,
            pods: drain.pod_uids.iter().cloned().collect(),
            until: now + Duration::from_millis(drain.valid_ms.into()),
        });
    }
}

/// One activator, over all its processes.
#[derive(Default)]
pub(super) struct Activator {
    pub(super) process: Option<Process>,
    boots: u32,
    /// What the processes that are gone had counted.
    dead: BTreeMap<u32, Added>,
    /// When its newest report to each leader was made, by the leader's fingerprint.
    said: BTreeMap<String, Duration>,
    /// Its process stands still.
    pub(super) frozen: Arc<AtomicBool>,
    /// There is something to tell.
    pub(super) news: Arc<Notify>,
    /// Its clock has leapt so far.
    pub(super) leap: Duration,
    /// It never tries to attach.
    pub(super) shy: bool,
    /// The API server shows its pod.
    pub(super) counts: bool,
}

impl Activator {
    /// Its pod is there; no process is yet.
    pub(super) fn new() -> Self {
        Self { counts: true, ..Self::default() }
    }

    fn total(&mut self, boot: u32, now: Duration) -> Added {
        let process = self.process.as_mut().filter(|process| process.boot == boot);
        process.map_or_else(|| self.dead.get(&boot).copied().unwrap_or_default(), |process| process.totals(now))
    }
}

/// A pod of the function.
pub(super) struct Pod {
    pub(super) revision: String,
    pub(super) from: Duration,
    /// Since when it is being deleted.
    pub(super) leaving: Option<Duration>,
    /// When its revision was lowered.
    lowered: Option<Duration>,
}

impl Pod {
    pub(super) fn new(revision: String, from: Duration) -> Self {
        Self { revision, from, leaving: None, lowered: None }
    }
}

/// A first report of a stream.
struct Hello {
    boot: u32,
    totals: Added,
    /// The leader is known to have taken it.
    taken: bool,
}

/// A leader's term.
pub(super) struct Led {
    pub(super) epoch: u64,
    fingerprint: String,
    pub(super) metrics: Metrics,
    hellos: BTreeMap<&'static str, Vec<Hello>>,
}

/// What was seen to happen, so that no test is empty.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) lowered: u64,
    pub(super) idle: u64,
    pub(super) lapsed: u64,
    pub(super) attached: u64,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) activators: BTreeMap<&'static str, Activator>,
    pub(super) pods: BTreeMap<String, Pod>,
    pub(super) terms: Vec<Led>,
    /// The revision that serves.
    pub(super) serving: String,
    /// Requests come.
    pub(super) traffic: bool,
    /// What must not be.
    pub(super) broken: Vec<String>,
    pub(super) counts: Counts,
}

/// Shared by all hosts of a simulation. Never held while the API server is asked.
#[derive(Default)]
pub(super) struct Truth(Mutex<Inner>);

impl Truth {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// Does something in an activator's process, as of now.
    pub(super) fn with<R>(&self, name: &'static str, act: impl FnOnce(&mut Process, &Inner) -> R) -> R {
        let mut inner = self.lock();
        let now = now();
        inner.lapse(name, now);
        let mut process = inner.activators.get_mut(name).unwrap().process.take().unwrap();
        process.advance(now);
        let result = act(&mut process, &inner);
        inner.activators.get_mut(name).unwrap().process = Some(process);
        result
    }

    /// A process starts.
    pub(super) fn start(&self, name: &'static str) -> u32 {
        let mut inner = self.lock();
        let activator = inner.activators.get_mut(name).unwrap();
        activator.boots += 1;
        activator.process = Some(Process::new(activator.boots, now()));
        activator.boots
    }

    /// It is killed.
    pub(super) fn kill(&self, name: &'static str, now: Duration) {
        let mut inner = self.lock();
        let activator = inner.activators.get_mut(name).unwrap();
        if let Some(mut process) = activator.process.take() {
            activator.dead.insert(process.boot, process.totals(now));
        }
        activator.frozen.store(false, Ordering::Release);
    }

    pub(super) fn obey(&self, name: &'static str, orders: &Orders) {
        self.with(name, |process, _| process.obey(orders, now()));
    }

    /// A report to this leader is made, which begins a stream.
    pub(super) fn hello(&self, name: &'static str, fingerprint: &str, boot: u32, totals: Added) {
        if let Some(term) = self.lock().terms.iter_mut().find(|term| term.fingerprint == fingerprint) {
            term.hellos.entry(name).or_default().push(Hello { boot, totals, taken: false });
        }
    }

    /// The leader has answered the newest stream.
    pub(super) fn taken(&self, name: &'static str, fingerprint: &str) {
        let mut inner = self.lock();
        inner.counts.attached += 1;
        let term = inner.terms.iter_mut().find(|term| term.fingerprint == fingerprint);
        if let Some(hello) = term.and_then(|term| term.hellos.get_mut(name)?.last_mut()) {
            hello.taken = true;
        }
    }

    pub(super) fn said(&self, name: &'static str, fingerprint: &str) {
        self.lock().activators.get_mut(name).unwrap().said.insert(fingerprint.to_owned(), now());
    }

    /// A leader begins to listen.
    pub(super) fn leads(&self, epoch: u64, fingerprint: &str, metrics: Metrics) {
        let hellos = BTreeMap::new();
        self.lock().terms.push(Led { epoch, fingerprint: fingerprint.to_owned(), metrics, hellos });
    }

    /// A leader has brought a revision to zero: the API server has just taken the write.
    pub(super) fn lowered(&self, revision: &str) {
        let mut inner = self.lock();
        let now = now();
        let wrong = inner.unsafe_now(revision, now);
        inner.broken.extend(wrong.into_iter().map(|wrong| format!("{now:?}: {revision} was lowered although {wrong}")));
        let serves = inner.serving == revision;
        inner.counts.lowered += 1;
        inner.counts.idle += u64::from(serves);
        for pod in inner.pods.values_mut().filter(|pod| pod.revision == revision) {
            pod.lowered = Some(now);
        }
    }
}

impl Inner {
    /// An order that was not renewed gives its pods back: not while a lowering that rests on it takes place.
    fn lapse(&mut self, name: &'static str, now: Duration) {
        let process = self.activators.get_mut(name).and_then(|activator| activator.process.as_mut()).unwrap();
        let Some(order) = process.order.take_if(|order| order.until <= now) else { return };
        self.counts.lapsed += 1;
        for pod in &order.pods {
            let lowered = self.pods.get(pod).and_then(|pod| pod.lowered);
            if let Some(at) = lowered.filter(|at| order.until < *at + WRITE) {
                let text = format!("{now:?}: {name} took {pod} back at {:?}, lowered at {at:?}", order.until);
                self.broken.push(text);
            }
        }
    }

    /// Why it is not safe to delete the pods of this revision.
    fn unsafe_now(&self, revision: &str, now: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let counting = || self.activators.iter().filter(|(_, activator)| activator.counts);
        // What is decided on is a second old at most, and then the API server is asked twice.
        let late = FRESH + 4 * API + 2 * TICK;
        let heard = |term: &Led| {
            counting().all(|(_, one)| one.said.get(&term.fingerprint).is_some_and(|said| now <= *said + late))
        };
        if counting().next().is_none() || !self.terms.iter().any(heard) {
            let said: Vec<_> = counting().map(|(name, one)| (name, &one.said)).collect();
            wrong.push(format!("somebody is not heard: {said:?}"));
        }
        for (name, activator) in counting() {
            let Some(process) = &activator.process else { continue };
            for (uid, pod) in self.pods.iter().filter(|(_, pod)| pod.revision == revision) {
                if process.in_flight.get(uid).is_some_and(|count| *count > 0) {
                    wrong.push(format!("{name} has a request at {uid}"));
                }
                if pod.leaving.is_none() && !process.is_drained(uid, now) {
                    wrong.push(format!("{name} may send requests to {uid}: {:?}", process.order));
                }
            }
            let quiet = process.ended.is_none_or(|ended| now + 5 * TICK >= ended + WINDOW);
            if revision == self.serving && !quiet {
                wrong.push(format!("{name} had a request until {:?}", process.ended));
            }
        }
        wrong
    }

    /// The least and the most that a leader can have added up: the same, unless a process of an activator was killed, or
    /// it is not known when the leader first heard of it.
    pub(super) fn bounds(&mut self, term: usize, now: Duration) -> (Added, Added) {
        let (mut least, mut most) = (Added::default(), Added::default());
        for (name, hellos) in &self.terms[term].hellos {
            let activator = self.activators.get_mut(name).unwrap();
            let mut boots: Vec<u32> = hellos.iter().map(|hello| hello.boot).collect();
            boots.dedup();
            for (index, boot) in boots.iter().enumerate() {
                let total = activator.total(*boot, now);
                let first = hellos.iter().find(|hello| hello.boot == *boot).map(|hello| hello.totals);
                most.add(&since(total, first.filter(|_| index == 0)));
                let taken = hellos.iter().find(|hello| hello.boot == *boot && hello.taken);
                let before = hellos.iter().any(|hello| hello.boot != *boot && hello.taken);
                let lives = activator.process.as_ref().is_some_and(|process| process.boot == *boot);
                if let Some(taken) = taken.filter(|_| lives) {
                    least.add(&since(total, (!before).then_some(taken.totals)));
                }
            }
        }
        (least, most)
    }
}

fn since(total: Added, base: Option<Added>) -> Added {
    let base = base.unwrap_or_default();
    Added {
        requests: total.requests - base.requests,
        in_flight_request_ms: total.in_flight_request_ms - base.in_flight_request_ms,
        held_request_ms: total.held_request_ms - base.held_request_ms,
    }
}
