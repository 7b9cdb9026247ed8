//! What goes wrong, drawn at random, and how it is made to.

use std::{sync::atomic::Ordering, time::Duration};

use rand::{Rng, rngs::StdRng};

use super::{
    leader::Mandate,
    net::{Later, Net, REPLICAS},
};

/// Which way a connection is cut or slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Both,
    Up,
    Down,
}

/// How a leader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Going {
    /// It steps down.
    Clean,
    /// Its process is killed.
    Killed,
    /// It does not know yet, and goes on serving whom it has.
    Behind,
}

/// One fault, and how long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Everything is lost between this activator and these replicas (one bit each).
    Cut { activator: usize, replicas: u8, way: Way, lasts: Duration },
    /// Everything is late; afterwards it comes at once.
    Hold { activator: usize, replicas: u8, way: Way, lasts: Duration },
    /// Its process stands still.
    Freeze { activator: usize, lasts: Duration },
    /// It is killed, and starts again after so long.
    Restart { activator: usize, lasts: Duration },
    /// Its clock leaps.
    Leap { activator: usize, by: Duration },
    /// Another replica leads after so long.
    Leader { going: Going, lasts: Duration },
    /// Another revision serves.
    Rollout,
    /// Requests come from now on, or come no more.
    Traffic,
    /// The API server is as slow from now on.
    Slow { delay: Duration },
}

fn time(random: &mut StdRng, most: u64) -> Duration {
    Duration::from_millis(random.random_range(100..most))
}

impl Fault {
    /// One of them, about one of so many activators.
    pub(super) fn draw(random: &mut StdRng, activators: usize, api: Duration) -> Self {
        let activator = random.random_range(0..activators);
        let replicas = random.random_range(1..=3);
        let way = [Way::Both, Way::Up, Way::Down][random.random_range(0..3)];
        match random.random_range(0..16) {
            0..2 => Self::Cut { activator, replicas, way, lasts: time(random, 8000) },
            2..5 => Self::Hold { activator, replicas, way, lasts: time(random, 8000) },
            5..7 => Self::Freeze { activator, lasts: time(random, 8000) },
            7 => Self::Restart { activator, lasts: Duration::from_secs(2) + time(random, 3000) },
            8 => Self::Leap { activator, by: time(random, 60_000) },
            9 => {
                let going = [Going::Clean, Going::Killed, Going::Behind][random.random_range(0..3)];
                Self::Leader { going, lasts: time(random, 3000) }
            }
            10..13 => Self::Rollout,
            13..15 => Self::Traffic,
            _ => Self::Slow { delay: api.mul_f64(random.random_range(0.0..1.0)) },
        }
    }
}

impl Net {
    pub(super) fn heal(&mut self, activator: usize, replica: usize) {
        if let Some((lost, _)) = self.links.remove(&(activator, replica)) {
            let ends = (self.activators[activator], REPLICAS[replica]);
            if lost { self.sim.repair(ends.0, ends.1) } else { self.sim.release(ends.0, ends.1) }
        }
    }

    pub(super) fn freeze(&mut self, activator: usize, frozen: bool) {
        self.truth.lock().activators[self.activators[activator]].frozen.store(frozen, Ordering::Release);
    }

    pub(super) fn kill(&mut self, activator: usize) {
        let name = self.activators[activator];
        self.truth.kill(name, self.now());
        self.sim.crash(name);
        self.dead.push(activator);
    }

    /// Something goes wrong, unless much the same does already.
    pub(super) fn wrong(&mut self, fault: Fault) {
        match fault {
            Fault::Cut { activator, replicas, way, lasts } | Fault::Hold { activator, replicas, way, lasts } => {
                let lost = matches!(fault, Fault::Cut { .. });
                for replica in (0..REPLICAS.len()).filter(|replica| replicas & (1 << replica) != 0) {
                    if self.links.contains_key(&(activator, replica)) {
                        continue;
                    }
                    let (up, down) = (self.activators[activator], REPLICAS[replica]);
                    match (lost, way) {
                        (true, Way::Both) => self.sim.partition(up, down),
                        (true, Way::Up) => self.sim.partition_oneway(up, down),
                        (true, Way::Down) => self.sim.partition_oneway(down, up),
                        (false, _) => self.sim.hold(up, down),
                    }
                    self.links.insert((activator, replica), (lost, way));
                    self.after(lasts, Later::Heal { activator, replica });
                }
            }
            Fault::Freeze { activator, lasts } => {
                self.freeze(activator, true);
                self.after(lasts, Later::Thaw { activator });
            }
            Fault::Restart { activator, lasts } => {
                if !self.dead.contains(&activator) {
                    self.kill(activator);
                    self.after(lasts, Later::Boot { activator });
                }
            }
            Fault::Leap { activator, by } => {
                self.truth.lock().activators.get_mut(self.activators[activator]).unwrap().leap += by;
            }
            Fault::Leader { going, lasts } => self.change(going, lasts),
            Fault::Rollout => self.roll_out(),
            Fault::Traffic => {
                let mut inner = self.truth.lock();
                inner.traffic = !inner.traffic;
            }
            Fault::Slow { delay } => self.cluster.api().delay = delay,
        }
    }

    pub(super) fn change(&mut self, going: Going, lasts: Duration) {
        if self.later.iter().any(|(_, later)| matches!(later, Later::Lead { .. })) {
            return;
        }
        let (old, new, epoch) = (self.leads, 1 - self.leads, self.epoch + 1);
        // Whoever led before that knows by now.
        self.mandates[new].send_replace(None);
        match going {
            Going::Clean => _ = self.mandates[old].send_replace(None),
            Going::Killed => {
                self.mandates[old].send_replace(None);
                self.sim.crash(REPLICAS[old]);
            }
            Going::Behind => {
                let until = self.now() + lasts;
                self.mandates[old].send_replace(Some(Mandate { epoch: self.epoch, until }));
            }
        }
        self.after(lasts, Later::Lead { replica: new, epoch });
    }

    /// Nothing is wrong any more, and nobody calls.
    pub(super) fn mend(&mut self) {
        for (activator, replica) in self.links.keys().copied().collect::<Vec<_>>() {
            self.heal(activator, replica);
        }
        for (_, what) in std::mem::take(&mut self.later) {
            self.happen(what);
        }
        self.mandates[1 - self.leads].send_replace(None);
        self.cluster.api().delay = Duration::ZERO;
        let mut inner = self.truth.lock();
        inner.traffic = false;
        inner.activators.values_mut().for_each(|activator| activator.shy = false);
    }
}
