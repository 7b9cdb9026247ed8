//! One function with one revision, two activators, the API server, the ReplicaSet controller, and the operator with the
//! real [`Drains`]: what it is, and what each event does.

use super::{events::Event, *};

/// UIDs of pods; a number is the place here.
pub(super) const UIDS: [&str; PODS] = ["a", "b", "c", "d", "e", "f"];
pub(super) const PODS: usize = 6;
/// The revision.
pub(super) const NAME: &str = "f";

/// A set of pods, one bit each.
pub(super) type Pods = u8;

pub(super) fn bit(pod: usize) -> Pods {
    1 << pod
}

pub(super) fn uids(pods: Pods) -> BTreeSet<String> {
    (0..PODS).filter(|pod| pods & bit(*pod) != 0).map(|pod| UIDS[pod].to_owned()).collect()
}

pub(super) fn bits(uids: &BTreeSet<String>) -> Pods {
    (0..PODS).filter(|pod| uids.contains(UIDS[*pod])).map(bit).sum()
}

/// How the clock goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// So far at once.
    pub(super) tick: Duration,
    /// A request takes no longer than so many ticks.
    pub(super) linger: u8,
    /// The ReplicaSet controller sees costs at once, pods that go are gone at once, and the store lags as a whole.
    pub(super) prompt: bool,
}

/// How often what nobody owes may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    pub(super) arrivals: u8,
    pub(super) raises: u8,
    /// Writes of others that leave the replicas alone.
    pub(super) touches: u8,
    pub(super) failures: u8,
    pub(super) silences: u8,
    pub(super) goals: u8,
}

/// What the pods are, at the API server or as the operator's store has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    pub(super) starting: Pods,
    pub(super) ready: Pods,
    pub(super) leaving: Pods,
    pub(super) costs: Pods,
}

impl Cluster {
    pub(super) fn there(&self) -> Pods {
        self.starting | self.ready
    }

    pub(super) fn count(&self) -> i32 {
        self.there().count_ones().try_into().unwrap()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) replicas: i32,
    pub(super) generation: i64,
    pub(super) version: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Activator {
    pub(super) silent: bool,
    /// Its number, its pods, and whether it is void.
    pub(super) order: Option<(u64, Pods, bool)>,
    /// The age, in ticks, of the youngest request at each pod.
    pub(super) flying: [Option<u8>; PODS],
    pub(super) held: bool,
    pub(super) requests: u64,
    /// What the leader has of it.
    pub(super) ack: Option<Ack>,
    /// As the leader has it: pods that are drained, with nothing in flight.
    pub(super) empty: Pods,
}

impl Activator {
    pub(super) fn drained(&self) -> Pods {
        self.order.map_or(0, |(_, pods, void)| if void { 0 } else { pods })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Read,
    /// With the raises there had been then.
    Found(Result<Current, Outcome>, u8),
    /// With the raises there had been when the version was read.
    Write {
        to: i32,
        version: u64,
        raises: u8,
    },
    Wrote(Outcome),
    Mark {
        set: Pods,
        clear: Pods,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) what: What,
    /// The operator waits no more.
    pub(super) lost: bool,
}

/// What was promised with the last lowering: these pods, and no other, may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    None,
    Holds(Pods),
    /// The store did not show the pods as they were: nobody can say who goes.
    Guess(Pods),
    /// The pods were given back since, by the operator or by an activator that it lost.
    Void,
}

/// What happened on the ways that lead through the states; counted so that the test cannot become empty.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lowered: u64,
    pub(super) conflicts: u64,
    /// A deletion by the costs, one that erred, and one after the pods were given back.
    pub(super) named: u64,
    pub(super) erred: u64,
    pub(super) late: u64,
    pub(super) guessed: u64,
    pub(super) strays: u64,
    pub(super) cancelled: u64,
    pub(super) raised: u64,
    pub(super) refused: u64,
    pub(super) lingered: u64,
}

#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) drains: Drains,
    pub(super) now: Instant,
    pub(super) pace: Pace,
    pub(super) goal: Option<Want>,
    pub(super) scale: Scale,
    pub(super) cluster: Cluster,
    /// The costs as the ReplicaSet controller has them.
    pub(super) seen_costs: Pods,
    pub(super) made: usize,
    pub(super) store: (Scale, Cluster),
    pub(super) activators: [Activator; 2],
    pub(super) calls: Vec<Call>,
    pub(super) left: Budget,
    pub(super) raises: u8,
    pub(super) promise: Promise,
    /// Who was to stay when the pods were chosen.
    pub(super) stay: Option<Pods>,
}

impl World {
    pub(super) fn new(replicas: usize, goal: Option<Want>, left: Budget, pace: Pace) -> Self {
        let cluster = Cluster { ready: (0..replicas).map(bit).sum(), ..Cluster::default() };
        let scale = Scale { replicas: replicas.try_into().unwrap(), generation: 1, version: 1 };
        Self {
            drains: Drains::default(),
            now: Instant::now(),
            pace,
            goal,
            scale,
            cluster,
            seen_costs: 0,
            made: replicas,
            store: (scale, cluster),
            activators: Default::default(),
            calls: Vec::new(),
            left,
            raises: 0,
            promise: Promise::None,
            stay: None,
        }
    }

    /// What happens then.
    pub(super) fn apply(&mut self, event: Event, run: &mut Run) -> Result<(), String> {
        match event {
            Event::Tick => {
                self.now += self.pace.tick;
                for age in self.activators.iter_mut().flat_map(|activator| &mut activator.flying).flatten() {
                    *age = (*age + 1).min(self.pace.linger);
                }
            }
            Event::Word(index) => self.word(index),
            Event::Silence(index) => {
                self.left.silences -= 1;
                self.activators[index].silent = true;
                self.activators[index].ack = None;
            }
            Event::Heard(index) => {
                self.activators[index].silent = false;
                return Ok(());
            }
            Event::Lapse(index) => {
                self.activators[index].order = None;
                self.given_back();
                return Ok(());
            }
            Event::TakeBack(index) => {
                let activator = &mut self.activators[index];
                activator.order = activator.order.map(|(id, pods, _)| (id, pods, true));
                if !activator.silent {
                    activator.ack = None;
                }
                self.given_back();
                // Who waits was told before, and the leader knows that it is not idle.
                self.goal = self.goal.filter(|goal| goal.why != Why::Idle || self.activators[index].silent);
            }
            Event::Arrive(index, pod) => {
                self.left.arrivals -= 1;
                self.activators[index].requests += u64::from(run.counts_requests());
                self.activators[index].flying[pod] = Some(0);
                return Ok(());
            }
            Event::Hold(index) => {
                self.left.arrivals -= 1;
                self.activators[index].requests += u64::from(run.counts_requests());
                self.activators[index].held = true;
                return Ok(());
            }
            Event::Admit(index, pod) => {
                self.activators[index].held = false;
                self.activators[index].flying[pod] = Some(0);
                return Ok(());
            }
            Event::Finish(index, pod) => {
                self.activators[index].flying[pod] = None;
                return Ok(());
            }
            Event::Goal(goal) => {
                self.left.goals -= 1;
                self.goal = run.goals[goal];
            }
            Event::Raise => {
                self.left.raises -= 1;
                self.raises += 1;
                self.write(self.scale.replicas + 1);
                return Ok(());
            }
            Event::Touch => {
                self.left.touches -= 1;
                self.scale.version += 1;
                return Ok(());
            }
            Event::Serve(index) => return self.serve(index, run),
            Event::Refuse(index) => {
                self.left.failures -= 1;
                let call = self.calls.remove(index);
                self.look(run)?;
                match call.what {
                    What::Read => self.answered(What::Found(Err(Outcome::Failed), 0), run)?,
                    What::Write { .. } => self.answered(What::Wrote(Outcome::Failed), run)?,
                    What::Mark { set, clear } => self.unmarked(set | clear, run)?,
                    What::Found(..) | What::Wrote(_) => {}
                }
            }
            Event::Lose(index) => {
                self.left.failures -= 1;
                self.calls[index].lost = true;
                self.look(run)?;
                if matches!(self.calls[index].what, What::Wrote(_)) {
                    self.calls.remove(index);
                }
                self.answered(What::Wrote(Outcome::Failed), run)?;
            }
            Event::Answer(index) => {
                let call = self.calls.remove(index);
                if call.lost {
                    return Ok(());
                }
                self.look(run)?;
                self.answered(call.what, run)?;
            }
            Event::Delete(pod) => return self.delete(pod, run),
            Event::Create => {
                self.cluster.starting |= bit(self.made);
                self.made += 1;
                return Ok(());
            }
            Event::Start(pod) => {
                self.cluster.starting &= !bit(pod);
                self.cluster.ready |= bit(pod);
                return Ok(());
            }
            Event::Vanish(pod) => {
                self.cluster.leaving &= !bit(pod);
                for activator in &mut self.activators {
                    activator.flying[pod] = None;
                }
                return Ok(());
            }
            Event::Costs => {
                self.seen_costs = self.cluster.costs;
                return Ok(());
            }
            Event::Deployment | Event::Pods if self.pace.prompt => self.store = (self.scale, self.cluster),
            Event::Deployment => self.store.0 = self.scale,
            Event::Pods => self.store.1 = self.cluster,
        }
        self.look(run)
    }

    /// There are as many pods as are wanted.
    pub(super) fn whole(&self) -> bool {
        self.cluster.count() == self.scale.replicas
    }

    pub(super) fn given_back(&mut self) {
        if self.promise != Promise::None {
            self.promise = Promise::Void;
        }
    }

    fn write(&mut self, replicas: i32) {
        self.scale = Scale { replicas, generation: self.scale.generation + 1, version: self.scale.version + 1 };
    }

    fn word(&mut self, index: usize) {
        let newest = self.drains.order().map(|order| (order.id, bits(&order.pods)));
        let activator = &mut self.activators[index];
        let void = activator.order.filter(|(_, _, void)| *void).map(|(id, ..)| id);
        activator.order = newest.map(|(id, pods)| (id, pods, void == Some(id)));
        activator.ack = activator.order.filter(|(_, _, void)| !void).map(|(order, pods, _)| Ack {
            epoch: EPOCH,
            order,
            held: activator.held.into(),
            in_flight: (0..PODS).map(|pod| u32::from(pods & bit(pod) != 0 && activator.flying[pod].is_some())).sum(),
            requests: activator.requests,
            issued: Duration::ZERO,
            at: self.now,
        });
        let drained = activator.drained();
        activator.empty =
            (0..PODS).filter(|pod| drained & bit(*pod) != 0 && activator.flying[*pod].is_none()).map(bit).sum();
        let busy = activator.held || activator.flying.iter().any(Option::is_some);
        self.goal = self.goal.filter(|goal| goal.why != Why::Idle || !busy);
    }

    fn serve(&mut self, index: usize, run: &mut Run) -> Result<(), String> {
        let call = &mut self.calls[index];
        match call.what.clone() {
            What::Read => {
                let Scale { replicas, generation, version } = self.scale;
                call.what = What::Found(Ok(current(version, generation, replicas)), self.raises);
            }
            What::Write { version, .. } if version != self.scale.version => {
                run.counts.conflicts += 1;
                call.what = What::Wrote(Outcome::Conflict);
            }
            What::Write { to, raises, .. } => {
                call.what = What::Wrote(Outcome::Done);
                if raises != self.raises {
                    return Err("a raise since the read was undone".to_owned());
                }
                if to >= self.scale.replicas {
                    return Err("a lowering raised".to_owned());
                }
                run.counts.lowered += 1;
                self.write(to);
            }
            What::Mark { set, clear } => {
                let there = self.cluster.there();
                self.cluster.costs = ((self.cluster.costs | set) & !clear) & there;
                if self.pace.prompt {
                    self.seen_costs = self.cluster.costs;
                }
                self.calls.remove(index);
            }
            What::Found(..) | What::Wrote(_) => {}
        }
        // Nobody waits for it.
        if self.calls.get(index).is_some_and(|call| call.lost) {
            self.calls.remove(index);
        }
        Ok(())
    }
}
