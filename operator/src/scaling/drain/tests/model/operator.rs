//! The operator as far as it is not [`Drains`]: it looks at everything after each event that it sees, and carries out what
//! it is told.

use super::{
    world::{Call, NAME, PODS, Pods, UIDS, What, World, bits, uids},
    *,
};

impl World {
    pub(super) fn acks(&self) -> Acks {
        Acks {
            epoch: EPOCH,
            given: self.activators.iter().map(|activator| activator.ack).collect(),
            empty: self.activators.iter().map(|activator| uids(activator.empty)).collect(),
        }
    }

    fn revision(&self) -> Revision {
        let (scale, cluster) = self.store;
        Revision {
            linger: self.pace.tick * self.pace.linger.into(),
            pods: uids(cluster.there()),
            ready: uids(cluster.ready),
            marked: uids(cluster.costs & cluster.there()),
            leaving: uids(cluster.leaving),
            ..revision(NAME, scale.replicas, scale.generation, &[])
        }
    }

    /// An answer arrives: it is judged by what is so now.
    pub(super) fn answered(&mut self, what: What, run: &mut Run) -> Result<(), String> {
        let acks = self.acks();
        let read = if let What::Found(Ok(current), _) = &what { current.replicas } else { 0 };
        let (step, raises) = match what {
            What::Found(current, raises) => (self.drains.read(NAME, current, &acks, self.now), raises),
            What::Wrote(outcome) => (self.drains.written(NAME, outcome, self.now), 0),
            What::Read | What::Write { .. } | What::Mark { .. } => (None, 0),
        };
        if let Some(step) = step {
            if matches!(step, Step::Lower { .. }) && read > self.store.0.replicas {
                return Err("a raise that nobody has looked at is undone".to_owned());
            }
            self.carry_out(step, raises, run)?;
        }
        self.look(run)
    }

    /// Costs were not taken.
    pub(super) fn unmarked(&mut self, pods: Pods, run: &mut Run) -> Result<(), String> {
        if let Some(step) = self.drains.unmarked(NAME, &uids(pods), self.now) {
            self.carry_out(step, 0, run)?;
        }
        self.look(run)
    }

    pub(super) fn target(&self) -> Option<&Target> {
        self.drains.targets.get(NAME)
    }

    /// The operator looks at everything, and does what is to be done.
    pub(super) fn look(&mut self, run: &mut Run) -> Result<(), String> {
        let revision = self.revision();
        let mut busy = Busy::default();
        for activator in &self.activators {
            (0..PODS).filter(|pod| activator.flying[*pod].is_some()).for_each(|pod| busy.add(UIDS[pod], 1));
        }
        let goals = [Goal { revision: &revision, want: self.goal }];
        let steps = self.drains.step(&goals, &busy, &self.acks(), self.now, &mut run.ids);
        for (_, step) in steps {
            self.carry_out(step, 0, run)?;
        }
        self.chosen();
        self.check()
    }

    fn carry_out(&mut self, step: Step, raises: u8, run: &mut Run) -> Result<(), String> {
        let what = match step {
            Step::Read => What::Read,
            Step::Lower { to, version } => {
                self.check_lowering(to, run)?;
                self.promise();
                What::Write { to, version: version.parse().unwrap(), raises }
            }
            // One after the other; what does not show is asked for again.
            Step::Mark(_) if self.calls.iter().any(|call| matches!(call.what, What::Mark { .. })) => {
                return Ok(());
            }
            Step::Mark(Marking { set, clear }) => {
                let drained = self.drains.order().map(|order| bits(&order.pods)).unwrap_or_default();
                if bits(&set) & !drained != 0 {
                    return Err("a pod that nobody drains was named".to_owned());
                }
                What::Mark { set: bits(&set), clear: bits(&clear) }
            }
            Step::Ended(why, end) => return self.ended(why, end, run),
        };
        self.calls.push(Call { what, lost: false });
        Ok(())
    }
}
