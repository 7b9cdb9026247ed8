//! What tells one state from another: times count from now, numbers that only grow from the newest, and what is past its
//! last effect is all the same.

use super::{
    world::{Activator, Promise, UIDS, What, World, bits},
    *,
};

fn small(number: i64) -> u8 {
    number.to_le_bytes()[0]
}

impl World {
    /// Ticks until then.
    fn until(&self, then: Instant) -> u8 {
        let left = then.saturating_duration_since(self.now).as_millis();
        left.div_ceil(self.pace.tick.as_millis()).try_into().unwrap()
    }

    /// Ticks since then, as far as they tell anything.
    fn since(&self, then: Instant) -> u8 {
        let past = self.now.saturating_duration_since(then).as_millis() / self.pace.tick.as_millis();
        past.min(self.pace.linger.into()).try_into().unwrap()
    }

    /// `whole`: with what may still happen, and what is only watched.
    pub(super) fn key(&self, whole: bool) -> Vec<u8> {
        let mut key = Vec::with_capacity(96);
        let goal = self.goal.map_or([9, 0], |goal| [goal.why as u8, small(goal.to.into())]);
        key.extend(goal);
        let (store, picture) = self.store;
        key.extend([small(self.scale.replicas.into()), small(store.replicas.into())]);
        key.push(small(self.scale.generation - store.generation));
        key.push(u8::from(self.scale.version != store.version));
        for cluster in [self.cluster, picture] {
            key.extend([cluster.starting, cluster.ready, cluster.leaving, cluster.costs]);
        }
        key.extend([self.seen_costs, small(self.made.try_into().unwrap())]);
        // One is as good as the other.
        let mut activators = self.activators.each_ref().map(|activator| self.activator(activator));
        activators.sort();
        activators.iter().for_each(|activator| key.extend(activator));
        self.drain(&mut key);
        for call in &self.calls {
            self.call(&call.what, call.lost, &mut key);
        }
        if whole {
            key.push(0xff);
            let left = self.left;
            key.extend([left.arrivals, left.raises, left.touches, left.failures, left.silences, left.goals]);
            key.extend(match self.promise {
                Promise::None => [0, 0],
                Promise::Void => [1, 0],
                Promise::Holds(pods) => [2, pods],
                Promise::Guess(pods) => [3, pods],
            });
            key.push(self.stay.unwrap_or(0xff));
        }
        key
    }

    fn order_number(&self) -> Option<u64> {
        self.drains.order().map(|order| order.id)
    }

    fn activator(&self, activator: &Activator) -> Vec<u8> {
        let mut key = Vec::with_capacity(16);
        key.push(u8::from(activator.silent) | u8::from(activator.held) << 1);
        key.extend(activator.flying.map(|age| age.map_or(9, |age| age)));
        let counted = |requests: u64| small(requests.try_into().unwrap());
        key.push(counted(activator.requests));
        match activator.order {
            None => key.push(0xff),
            Some((id, pods, void)) => {
                key.extend([pods, u8::from(void) | u8::from(Some(id) == self.order_number()) << 1]);
            }
        }
        match activator.ack {
            None => key.push(0xff),
            Some(ack) => {
                let current = Some(ack.order) == self.order_number();
                let fresh = self.now - ack.at <= FRESH;
                let busy = u8::from(ack.held > 0) | u8::from(ack.in_flight > 0) << 1;
                key.extend([if current && fresh { busy } else { 4 }, counted(ack.requests)]);
            }
        }
        key
    }

    fn drain(&self, key: &mut Vec<u8>) {
        let generation = self.scale.generation;
        for target in self.drains.targets.values() {
            let phase = match target.phase {
                Phase::Draining => [0, 0],
                Phase::Reading(before) => [1, small(before.try_into().unwrap())],
                Phase::Writing(of) => [2, small(generation - of)],
                Phase::Lowered(of) => [3, small(generation - of)],
            };
            key.extend(phase);
            key.extend([target.want.why as u8, small(target.want.to.into()), bits(&target.pods), bits(&target.stay)]);
            key.extend([small(target.strays.try_into().unwrap()), small(target.replicas.into())]);
            key.push(target.since.map_or(0xff, |then| self.since(then)));
            key.push(target.leaving.map_or(0xff, |then| self.since(then)));
            key.extend([self.until(target.not_before), target.tries.min(TRIES).to_le_bytes()[0]]);
        }
        for pod in UIDS {
            let asked = self.drains.marks.0.get(pod);
            key.extend(asked.map_or([0, 0], |asked| [self.until(asked.again), asked.failures.to_le_bytes()[0]]));
        }
        for rest in self.drains.rests.0.values() {
            key.extend([self.until(rest.until), rest.rounds.to_le_bytes()[0]]);
        }
        key.push(u8::from(self.drains.renew));
        key.push(self.drains.unheeded.map_or(0xff, |then| self.until(then + ANEW)));
    }

    fn call(&self, what: &What, lost: bool, key: &mut Vec<u8>) {
        let old = |version: u64| u8::from(version != self.scale.version);
        key.push(u8::from(lost));
        match what {
            What::Read => key.push(0x50),
            What::Found(Err(_), _) => key.push(0x51),
            What::Found(Ok(current), raises) => {
                let version = current.version.parse().unwrap();
                let generation = small(self.scale.generation - current.generation);
                let replicas = small(current.replicas.into());
                key.extend([0x52, old(version), generation, replicas, self.raises - raises]);
            }
            What::Write { to, version, raises } => {
                key.extend([0x53, small((*to).into()), old(*version), self.raises - raises]);
            }
            What::Wrote(outcome) => key.extend([0x54, *outcome as u8]),
            What::Mark { set, clear } => key.extend([0x55, *set, *clear]),
        }
    }
}
