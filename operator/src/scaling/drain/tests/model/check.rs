//! What must hold in every state.

use super::{
    world::{Cluster, PODS, Pods, Promise, World, bit, bits},
    *,
};

const IN_FLIGHT: &str = "a pod goes with a request in flight";

fn err(what: &str) -> Result<(), String> {
    Err(what.to_owned())
}

impl World {
    /// After every look of the operator.
    pub(super) fn check(&self) -> Result<(), String> {
        let Some(target) = self.target() else {
            return if self.drains.order().is_some() { err("an order without a drain") } else { Ok(()) };
        };
        let order = self.drains.order().map(|order| bits(&order.pods));
        if order != target.want.why.drains().then(|| bits(&target.pods)) {
            return err("the order is not of the pods that are drained");
        }
        let decided = matches!(target.phase, Phase::Writing(_) | Phase::Lowered(_));
        if self.goal.is_none() && !decided {
            return err("nothing is wanted any more, and the pods are not given back");
        }
        let there = self.store.1.there();
        let most = u32::try_from(target.want.to).unwrap();
        if matches!(target.phase, Phase::Lowered(_)) && most > 0 && there.count_ones() <= most {
            let kept = order.unwrap_or_default() & there;
            return if kept != 0 { err("a pod that stays is still drained") } else { Ok(()) };
        }
        Ok(())
    }

    /// Who stays is remembered from the choice on.
    pub(super) fn chosen(&mut self) {
        self.stay = self.target().map(|target| match target.want.to {
            0 => 0,
            _ => self.stay.unwrap_or(self.store.1.there() & !bits(&target.pods)),
        });
    }

    fn young(&self, pod: usize) -> bool {
        self.activators.iter().any(|activator| activator.flying[pod].is_some_and(|age| age < self.pace.linger))
    }

    /// A lowering write is about to be sent.
    pub(super) fn check_lowering(&self, to: i32, run: &mut Run) -> Result<(), String> {
        let Some(target) = self.target() else { return err("nothing is on its way") };
        let victims = bits(&target.pods);
        if self.goal.is_none_or(|goal| goal.to > to || target.want.to != to) {
            return err("less is written than is wanted");
        }
        let (scale, picture) = self.store;
        if to > 0 && victims & !picture.costs != 0 {
            return err("the ReplicaSet controller is not told who goes");
        }
        if to > 0 && (picture.starting != 0 || u32::try_from(scale.replicas) != Ok(picture.ready.count_ones())) {
            return err("not every pod is Ready");
        }
        if target.want.why == Why::Failed {
            return Ok(());
        }
        let Some(order) = self.drains.order() else { return err("there is no order") };
        for activator in &self.activators {
            let Some(ack) = activator.ack else { return err("an activator has said nothing") };
            if (ack.epoch, ack.order) != (EPOCH, order.id) || self.now - ack.at > FRESH {
                return err("an acknowledgement is of another order, or old");
            }
            if victims & !activator.drained() != 0 {
                return err("an activator does not drain");
            }
            let idle = target.want.why == Why::Idle;
            if idle && (ack.held > 0 || ack.in_flight > 0) {
                return err("it is not idle");
            }
        }
        let pods = || (0..PODS).filter(|pod| victims & bit(*pod) != 0);
        if pods().any(|pod| self.young(pod)) {
            return err("a request has not had its time");
        }
        if pods().any(|pod| self.activators.iter().any(|activator| activator.flying[pod].is_some())) {
            run.counts.lingered += 1;
        }
        Ok(())
    }

    /// What a lowering gives away.
    pub(super) fn promise(&mut self) {
        let victims = self.target().map(|target| bits(&target.pods)).unwrap_or_default();
        let known = match self.stay {
            Some(stay) if self.target().is_some_and(|target| target.want.to > 0) => {
                self.cluster.starting == 0 && self.cluster.ready == victims | stay
            }
            _ => self.whole() && self.cluster.there() & !victims == 0,
        };
        self.promise = if known { Promise::Holds(victims) } else { Promise::Guess(victims) };
    }

    /// The ReplicaSet controller deletes a pod.
    pub(super) fn delete(&mut self, pod: usize, run: &mut Run) -> Result<(), String> {
        let Cluster { starting, .. } = self.cluster;
        match self.promise {
            Promise::None => return err("a pod goes, and nobody has lowered"),
            Promise::Void => run.counts.late += 1,
            Promise::Guess(pods) if pods & bit(pod) != 0 && self.young(pod) => return err(IN_FLIGHT),
            Promise::Guess(_) => run.counts.guessed += 1,
            Promise::Holds(pods) => {
                let left: Pods = pods & self.cluster.there();
                let others = self.cluster.there() & !pods;
                let told = starting == 0 && left & !self.seen_costs == 0 && others & self.seen_costs == 0;
                let meant = pods & bit(pod) != 0;
                if meant && self.young(pod) {
                    return err(IN_FLIGHT);
                }
                if !meant && (told || self.scale.replicas == 0) {
                    return err("the costs name another");
                }
                if !meant && starting != 0 {
                    return err("a pod that starts goes first");
                }
                *(if meant { &mut run.counts.named } else { &mut run.counts.erred }) += 1;
            }
        }
        self.cluster.starting &= !bit(pod);
        self.cluster.ready &= !bit(pod);
        if self.pace.prompt {
            self.activators.iter_mut().for_each(|activator| activator.flying[pod] = None);
        } else {
            self.cluster.leaving |= bit(pod);
        }
        // Nobody asks what it costs any more.
        self.cluster.costs &= !bit(pod);
        self.seen_costs &= !bit(pod);
        Ok(())
    }

    pub(super) fn ended(&mut self, why: Why, end: End, run: &mut Run) -> Result<(), String> {
        let counts = &mut run.counts;
        match end {
            End::Lowered { strays } => {
                if matches!(self.promise, Promise::Holds(_)) {
                    self.promise = Promise::None;
                }
                counts.strays += u64::try_from(strays).unwrap();
                let went = self.stay.unwrap_or_default() & !self.store.1.there();
                if why == Why::Excess && u32::try_from(strays) != Ok(went.count_ones())
                    || why != Why::Excess && strays > 0
                {
                    return Err(format!("{strays} strays were counted, of {:b}", self.stay.unwrap_or_default()));
                }
            }
            End::Cancelled => counts.cancelled += 1,
            End::Raised => counts.raised += 1,
            End::Refused | End::Unnamed => counts.refused += 1,
            End::Gone => return err("the Deployment is there"),
        }
        self.given_back();
        Ok(())
    }

    /// Whether everything has come to its end.
    pub(super) fn settled(&self) -> bool {
        let Cluster { starting, leaving, costs, .. } = self.cluster;
        let wanted = self.goal.is_none_or(|goal| self.scale.replicas <= goal.to);
        wanted
            && self.drains.is_empty()
            && self.drains.order().is_none()
            && self.calls.is_empty()
            && (starting, leaving, costs) == (0, 0, 0)
            && self.whole()
            && self.store == (self.scale, self.cluster)
    }
}
