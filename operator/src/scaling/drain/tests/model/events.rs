//! All that can happen next.

use super::{
    world::{PODS, What, World, bit},
    *,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Tick,
    /// The activator takes the newest orders and reports.
    Word(usize),
    Silence(usize),
    Heard(usize),
    /// An order that was not renewed ends.
    Lapse(usize),
    /// Requests wait and all pods are drained: the activator voids the order.
    TakeBack(usize),
    /// A request comes and goes to that pod.
    Arrive(usize, usize),
    /// A request comes and waits.
    Hold(usize),
    /// Who waited goes to that pod.
    Admit(usize, usize),
    Finish(usize, usize),
    Goal(usize),
    Raise,
    Touch,
    /// The API server carries out a call.
    Serve(usize),
    /// It refuses it.
    Refuse(usize),
    /// The answer arrives.
    Answer(usize),
    /// The operator gives up waiting; what is not carried out yet may still be.
    Lose(usize),
    /// The ReplicaSet controller deletes a pod.
    Delete(usize),
    Create,
    Start(usize),
    Vanish(usize),
    /// The ReplicaSet controller sees the costs.
    Costs,
    /// The operator's store catches up.
    Deployment,
    Pods,
}

impl World {
    /// Everything that can happen next.
    pub(super) fn events(&self, goals: &[Option<Want>]) -> Vec<Event> {
        let mut events = vec![Event::Tick];
        let left = &self.left;
        for (index, activator) in self.activators.iter().enumerate() {
            if activator.silent {
                events.push(Event::Heard(index));
                if activator.order.is_some() {
                    events.push(Event::Lapse(index));
                }
            } else {
                events.push(Event::Word(index));
                if left.silences > 0 {
                    events.push(Event::Silence(index));
                }
            }
            let open = self.cluster.ready & !activator.drained();
            if open == 0 && left.arrivals > 0 && !activator.held {
                events.push(Event::Hold(index));
            }
            // Nobody gives pods back that are none.
            if activator.held && open == 0 && activator.drained() & self.cluster.ready != 0 {
                events.push(Event::TakeBack(index));
            }
            for pod in (0..PODS).filter(|pod| self.cluster.there() & bit(*pod) != 0 || activator.flying[*pod].is_some())
            {
                let free = open & bit(pod) != 0 && activator.flying[pod].is_none();
                if free && activator.held {
                    events.push(Event::Admit(index, pod));
                } else if free && left.arrivals > 0 {
                    events.push(Event::Arrive(index, pod));
                }
                if activator.flying[pod].is_some() {
                    events.push(Event::Finish(index, pod));
                }
            }
        }
        if left.goals > 0 {
            events.extend((0..goals.len()).filter(|goal| goals[*goal] != self.goal).map(Event::Goal));
        }
        if left.raises > 0 && self.made < PODS {
            events.push(Event::Raise);
        }
        if left.touches > 0 {
            events.push(Event::Touch);
        }
        for (index, call) in self.calls.iter().enumerate() {
            let served = matches!(call.what, What::Found(..) | What::Wrote(_));
            events.push(if served { Event::Answer(index) } else { Event::Serve(index) });
            if left.failures > 0 && !call.lost {
                if !served {
                    events.push(Event::Refuse(index));
                }
                if matches!(call.what, What::Write { .. } | What::Wrote(_)) {
                    events.push(Event::Lose(index));
                }
            }
        }
        self.cluster_events(&mut events);
        events
    }

    fn cluster_events(&self, events: &mut Vec<Event>) {
        let cluster = &self.cluster;
        if cluster.count() > self.scale.replicas {
            let named = self.seen_costs & cluster.ready;
            let first = [cluster.starting, named, cluster.ready].into_iter().find(|pods| *pods != 0).unwrap_or(0);
            events.extend((0..PODS).filter(|pod| first & bit(*pod) != 0).map(Event::Delete));
        }
        if cluster.count() < self.scale.replicas && self.made < PODS {
            events.push(Event::Create);
        }
        events.extend((0..PODS).filter(|pod| cluster.starting & bit(*pod) != 0).map(Event::Start));
        events.extend((0..PODS).filter(|pod| cluster.leaving & bit(*pod) != 0).map(Event::Vanish));
        if self.seen_costs != cluster.costs {
            events.push(Event::Costs);
        }
        if self.store.0 != self.scale {
            events.push(Event::Deployment);
        }
        if self.store.1 != *cluster && !(self.pace.prompt && self.store.0 != self.scale) {
            events.push(Event::Pods);
        }
    }
}
