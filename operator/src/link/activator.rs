//! What one activator has said, and whether its next report may follow. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use link::{
    UNKNOWN_AFTER,
    v1::{Acknowledgement, FunctionCount, PodState, Report},
};
use scale::{Said, Seen};

use super::{limits, violation::Violation};

/// A sender's clock loses at most one part in so many against ours.
const SLOWEST_CLOCK: u32 = 1000;

/// Totals of one function at one activator since the activator started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    in_flight_request_ms: u64,
    held_request_ms: u64,
    requests: u64,
}

/// How much was added to totals by one report. What a new leader finds at its first look at an activator is where it
/// starts to count from, so it adds nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Request-milliseconds in flight.
    pub in_flight_request_ms: u64,
    /// Request-milliseconds held.
    pub held_request_ms: u64,
    /// Requests.
    pub requests: u64,
}

impl Added {
    /// And so much more.
    pub fn add(&mut self, more: &Self) {
        self.in_flight_request_ms = self.in_flight_request_ms.saturating_add(more.in_flight_request_ms);
        self.held_request_ms = self.held_request_ms.saturating_add(more.held_request_ms);
        self.requests = self.requests.saturating_add(more.requests);
    }
}

/// One function at one activator.
#[derive(Clone, Copy, Debug)]
struct Count {
    totals: Totals,
    in_flight: u32,
    held: u32,
    /// When the last request ended, if none is there.
    since: Instant,
}

/// One pod at one activator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPod {
    /// UID of its Function.
    pub function: String,
    /// Its revision.
    pub revision: String,
    /// The activator's own probe has passed.
    pub ready: bool,
    /// Nothing new is sent there.
    pub drained: bool,
    /// Requests there.
    pub in_flight: u32,
}

/// An order is in force at one activator, and this is what it counted after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The leader's epoch in the order.
    pub epoch: u64,
    /// The order.
    pub order: u64,
    /// Requests of the function that wait there.
    pub held: u32,
    /// Requests in flight there on the order's pods.
    pub in_flight: u32,
    /// Requests of the function since the activator started.
    pub requests: u64,
    /// When the leader gave the order last, as far as the activator knew: since the leader began to lead.
    pub issued: Duration,
    /// Since when it is known to be so: when it came here, or what [`Ack::as_of`] makes of that.
    pub at: Instant,
}

impl Ack {
    /// For a leader that began to lead then: as old as the order that it answers to, however late it came. One that was
    /// long on its way speaks of an order that may have lapsed meanwhile.
    pub fn as_of(self, begun: Instant) -> Self {
        let issued = begun.checked_add(self.issued).unwrap_or(self.at);
        Self { at: self.at.min(issued), ..self }
    }
}

/// What a report changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// UIDs of Functions of which a count, a pod or an acknowledgement is new.
    pub touched: BTreeSet<String>,
    /// UIDs of Functions of which a pod became ready, or is ready no longer.
    pub readiness: BTreeSet<String>,
    /// What was added to the totals, by the UID of the Function.
    pub added: BTreeMap<String, Added>,
    /// The time in which that was: from the report before, to this one.
    pub interval: Option<(Instant, Instant)>,
}

/// One activator, from its first stream under this leader on.
#[derive(Debug)]
pub struct Activator {
    boot_id: String,
    sequence: u64,
    clock_ms: u64,
    /// When its clock was at zero, by this process's clock, as the report that came fastest says. Reports that come late
    /// and then early would else tell of times that overlap, and of more requests at once than there were.
    origin: Instant,
    heard: Instant,
    /// When its process started, as its clock says.
    started: Instant,
    attached: bool,
    functions: HashMap<String, Count>,
    pods: HashMap<String, SeenPod>,
    acks: HashMap<String, Ack>,
}

impl Activator {
    /// Takes the first report of a stream. `before`: what an earlier stream of the same activator left.
    ///
    /// # Errors
    /// [`Violation`]; `before` then is forgotten, and the activator unknown until it attaches properly.
    pub fn attach(before: Option<Self>, report: Report, now: Instant) -> Result<(Self, Changes), Violation> {
        let hello = report.hello.as_ref().ok_or(Violation::NoHello)?;
        name(&hello.boot_id)?;
        let same_boot = before.as_ref().is_some_and(|before| before.boot_id == hello.boot_id);
        // A process that started under this leader has every total counted from its start; any other's first account
        // is where this leader starts to count from.
        let baseline = if same_boot {
            Base::Earlier
        } else if before.is_some() {
            Base::Zero
        } else {
            Base::Itself
        };
        let clock_ms = before.as_ref().filter(|_| same_boot).map_or(0, |before| before.clock_ms);
        let origin = before.as_ref().filter(|_| same_boot).map_or(now, |before| before.origin);
        let mut this = Self {
            boot_id: hello.boot_id.clone(),
            sequence: 0,
            clock_ms,
            origin,
            heard: now,
            started: now,
            attached: true,
            functions: HashMap::new(),
            pods: HashMap::new(),
            acks: HashMap::new(),
        };
        let (functions, pods) = before.map(|before| (before.functions, before.pods)).unwrap_or_default();
        let earlier = if same_boot {
            functions.iter().map(|(uid, count)| (uid.clone(), count.totals)).collect()
        } else {
            HashMap::new()
        };
        let mut changes = this.take(report, now, &earlier, baseline)?;
        // What the full account no longer names has changed too.
        changes.touched.extend(functions.into_keys());
        for pod in pods.into_values() {
            changes.readiness.insert(pod.function);
        }
        Ok((this, changes))
    }

    /// Takes a later report of the stream.
    ///
    /// # Errors
    /// [`Violation`]: the stream is to be closed.
    pub fn report(&mut self, report: Report, now: Instant) -> Result<Changes, Violation> {
        if report.hello.is_some() {
            return Err(Violation::SecondHello);
        }
        // A function that appears now had no request before, so its totals count from zero.
        self.take(report, now, &HashMap::new(), Base::Zero)
    }

    /// Its stream is closed: it is unknown from this moment.
    pub fn detach(&mut self) {
        self.attached = false;
        self.acks.clear();
    }

    /// Whether its word holds: it has a stream, and the last report is younger than [`UNKNOWN_AFTER`].
    pub fn is_heard(&self, now: Instant) -> bool {
        self.attached && now.saturating_duration_since(self.heard) < UNKNOWN_AFTER
    }

    /// What it says of a function's requests. A function that it never named has had none since it started.
    pub fn seen(&self, function: &str, now: Instant) -> Seen {
        if !self.is_heard(now) {
            return Seen::Unknown;
        }
        match self.functions.get(function) {
            Some(count) if count.in_flight > 0 || count.held > 0 => Seen::Busy,
            Some(count) => Seen::Quiet(count.since.max(self.started)),
            None => Seen::Quiet(self.started),
        }
    }

    /// What it last said of a function's requests at that moment; `None` if its word does not hold.
    pub fn said(&self, function: &str, now: Instant) -> Option<Said> {
        let count = self.functions.get(function);
        let (in_flight, held) = count.map_or((0, 0), |count| (count.in_flight, count.held));
        let at = self.origin + Duration::from_millis(self.clock_ms);
        self.is_heard(now).then_some(Said { at, in_flight, held })
    }

    /// Its newest acknowledgement for a function.
    pub fn ack(&self, function: &str) -> Option<&Ack> {
        self.acks.get(function)
    }

    /// A pod as it sees it.
    pub fn pod(&self, uid: &str) -> Option<&SeenPod> {
        self.pods.get(uid)
    }

    fn take(
        &mut self,
        report: Report,
        now: Instant,
        earlier: &HashMap<String, Totals>,
        base: Base,
    ) -> Result<Changes, Violation> {
        self.check(&report)?;
        let span = Duration::from_millis(report.clock_ms - self.clock_ms);
        // Its clock may run slower than ours, so what was fastest once does not count for ever.
        self.origin = before(now, report.clock_ms).min(self.origin + span / SLOWEST_CLOCK);
        let until = self.origin + Duration::from_millis(report.clock_ms);
        let interval = Some((until.checked_sub(span).unwrap_or(until), until));
        self.sequence = report.sequence;
        self.clock_ms = report.clock_ms;
        self.heard = now;
        self.started = before(now, report.clock_ms);
        let mut changes = Changes { interval, ..Changes::default() };
        for count in report.functions {
            self.count(count, now, earlier, base, &mut changes)?;
        }
        for pod in report.pods {
            self.see(pod, &mut changes)?;
        }
        // A report has every order that is in force at the sender: what it leaves out is in force no longer.
        let before = std::mem::take(&mut self.acks);
        changes.touched.extend(before.into_keys());
        for ack in report.acknowledgements {
            self.acknowledge(ack, now, &mut changes)?;
        }
        self.within_limits()?;
        Ok(changes)
    }

    fn check(&self, report: &Report) -> Result<(), Violation> {
        let expected = self.sequence + 1;
        if report.sequence != expected {
            return Err(Violation::Sequence { expected, got: report.sequence });
        }
        if report.clock_ms < self.clock_ms {
            return Err(Violation::Clock);
        }
        at_most("functions in a report", report.functions.len(), limits::FUNCTIONS)?;
        at_most("pods in a report", report.pods.len(), limits::PODS)?;
        at_most("acknowledgements in a report", report.acknowledgements.len(), limits::FUNCTIONS)
    }

    fn within_limits(&self) -> Result<(), Violation> {
        at_most("functions", self.functions.len(), limits::FUNCTIONS)?;
        at_most("pods", self.pods.len(), limits::PODS)?;
        at_most("acknowledgements", self.acks.len(), limits::FUNCTIONS)
    }

    fn count(
        &mut self,
        count: FunctionCount,
        now: Instant,
        earlier: &HashMap<String, Totals>,
        base: Base,
        changes: &mut Changes,
    ) -> Result<(), Violation> {
        name(&count.uid)?;
        let totals = Totals {
            in_flight_request_ms: count.in_flight_request_ms,
            held_request_ms: count.held_request_ms,
            requests: count.requests,
        };
        let known =
            self.functions.get(&count.uid).map(|count| count.totals).or_else(|| earlier.get(&count.uid).copied());
        let from = known.unwrap_or(match base {
            Base::Itself => totals,
            Base::Zero | Base::Earlier => Totals::default(),
        });
        let grown = |to: u64, from: u64| to.checked_sub(from).ok_or_else(|| Violation::Regression(count.uid.clone()));
        let added = Added {
            in_flight_request_ms: grown(totals.in_flight_request_ms, from.in_flight_request_ms)?,
            held_request_ms: grown(totals.held_request_ms, from.held_request_ms)?,
            requests: grown(totals.requests, from.requests)?,
        };
        if added != Added::default() {
            changes.added.entry(count.uid.clone()).or_default().add(&added);
        }
        let since = before(now, count.idle_ms);
        changes.touched.insert(count.uid.clone());
        self.functions.insert(count.uid, Count { totals, in_flight: count.in_flight, held: count.held, since });
        Ok(())
    }

    fn see(&mut self, pod: PodState, changes: &mut Changes) -> Result<(), Violation> {
        name(&pod.uid)?;
        let was_ready = self.pods.get(&pod.uid).is_some_and(|pod| pod.ready);
        if was_ready != (pod.ready && !pod.gone) {
            changes.readiness.insert(pod.function_uid.clone());
        }
        changes.touched.insert(pod.function_uid.clone());
        if pod.gone {
            self.pods.remove(&pod.uid);
            return Ok(());
        }
        name(&pod.function_uid)?;
        name(&pod.revision)?;
        let seen = SeenPod {
            function: pod.function_uid,
            revision: pod.revision,
            ready: pod.ready,
            drained: pod.drained,
            in_flight: pod.in_flight,
        };
        self.pods.insert(pod.uid, seen);
        Ok(())
    }

    fn acknowledge(&mut self, ack: Acknowledgement, now: Instant, changes: &mut Changes) -> Result<(), Violation> {
        name(&ack.function_uid)?;
        changes.touched.insert(ack.function_uid.clone());
        let Acknowledgement { epoch, order, held, in_flight, requests, issued_ms, .. } = ack;
        let issued = Duration::from_millis(issued_ms);
        self.acks.insert(ack.function_uid, Ack { epoch, order, held, in_flight, requests, issued, at: now });
        Ok(())
    }
}

/// Where totals that are not known yet are counted from.
#[derive(Clone, Copy)]
enum Base {
    /// From themselves: what was before is not this leader's to count.
    Itself,
    /// From zero: there was nothing before.
    Zero,
    /// From an earlier stream of the same process; a function that it did not know had nothing before.
    Earlier,
}

fn before(now: Instant, milliseconds: u64) -> Instant {
    // An instant before the machine started cannot be told; `now` is the safe side.
    now.checked_sub(Duration::from_millis(milliseconds)).unwrap_or(now)
}

fn name(name: &str) -> Result<(), Violation> {
    if name.is_empty() || name.len() > limits::NAME_BYTES { Err(Violation::Name) } else { Ok(()) }
}

fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), Violation> {
    if count > limit { Err(Violation::TooMany { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
