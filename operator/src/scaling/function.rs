//! What is decided about one Function, from everything that is known of it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use scale::{IdleClock, Said, Seen};

use crate::link::news::Loaded;

use super::{
    busy::Busy,
    decision::{Because, Decision, Judge, Load},
    drain::{Current, Drains, End, Goal, Marking, Outcome, Step, Want, Why},
    order::{Acks, Order, OrderIds},
    resize::{self, Resized, Resizes},
    starts::Starts,
    view::{Revision, Role, View},
    write::Way,
};

/// A scale-down that is held up for so long is told to the user.
pub const BLOCKED_AFTER: Duration = Duration::from_secs(10);
/// A raise that shows no effect is tried again after this long.
const RAISE_AGAIN: Duration = Duration::from_secs(2);
/// One that fails, after twice as long each time, up to this.
const RAISE_AGAIN_MOST: Duration = Duration::from_secs(30);

/// What the activators say of one Function.
#[derive(Clone, Debug)]
pub struct Word {
    /// Of its requests; one for each activator that counts.
    pub seen: Vec<Seen>,
    /// Of its requests at the moment; one for each activator that is heard.
    pub said: Vec<Said>,
    /// Of the pods of its serving revision: so many are ready.
    pub ready: i32,
    /// Of its order.
    pub acks: Acks,
    /// Of its pods.
    pub busy: Busy,
    /// Of its pods with the higher CPU limit of their start: UIDs of those that are ready.
    pub probed: BTreeSet<String>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Read the Deployment, then call [`State::read`].
    Read {
        /// The revision.
        revision: String,
    },
    /// Write `/scale`, then call [`State::written`].
    Write {
        /// The revision.
        revision: String,
        /// Replicas.
        replicas: i32,
        /// Whether that is more or fewer.
        way: Way,
        /// The condition of the write.
        version: String,
    },
    /// Write the deletion costs of pods, then call [`State::unmarked`].
    Mark {
        /// Their revision.
        revision: String,
        /// Which.
        marking: Marking,
    },
    /// Give a pod its own CPU limit, then call [`State::resized`]; or tell that it does not get it.
    Resize(resize::Step),
    /// A revision's way down is over.
    Ended {
        /// The revision.
        revision: String,
        /// Why it was to go.
        why: Why,
        /// How it ended.
        end: End,
    },
    /// Tell the user that a scale-down is held up, by so many activators of so many.
    Blocked {
        /// Activators without whose word nothing is lowered.
        missing: usize,
        /// Activators that count.
        of: usize,
    },
    /// Tell the user that a scale-down is held up, because only so many pods are Ready.
    Unready {
        /// Pods that are.
        ready: usize,
        /// Replicas that are wanted.
        of: i32,
    },
}

/// What is remembered of one Function in one term.
#[derive(Debug, Default)]
pub struct State {
    clock: IdleClock,
    judge: Judge,
    drains: Drains,
    starts: Starts,
    resizes: Resizes,
    raises: BTreeMap<String, Raise>,
    /// The serving revision and its replicas, when last seen.
    served: Option<(String, i32)>,
    blocked: Option<Blocked>,
    decision: Option<Decision>,
}

/// A raise that was asked for.
#[derive(Clone, Debug)]
struct Raise {
    version: String,
    again: Instant,
    /// Times that it failed.
    tries: u32,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Instant,
    by: Obstacle,
    told: bool,
}

/// What holds up a scale-down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Activators that are not heard: nothing is decided.
    Silence,
    /// Activators that have not acknowledged the order.
    Order,
    /// Pods that are not Ready, or not there: none of the others may be named to go.
    Unready,
}

impl State {
    /// What the activators are to be told.
    pub fn order(&self) -> Option<&Order> {
        self.drains.order()
    }

    /// Whether a scale-down has been held up for [`BLOCKED_AFTER`].
    pub fn is_blocked(&self) -> bool {
        self.blocked.is_some_and(|blocked| blocked.told)
    }

    /// What was decided last about the serving revision.
    pub fn decision(&self) -> Option<Decision> {
        self.decision
    }

    /// Why the size of a revision changes, if it serves.
    pub fn because(&self, revision: &str) -> Option<Because> {
        let (_, from) = self.served.as_ref().filter(|(serving, _)| serving == revision)?;
        match (self.judge.sizing(), self.decision?) {
            (Some(sizing), _) => Some(Because::Load(*sizing)),
            (None, Decision::Raise(_) | Decision::Lower(_) | Decision::Zero(Why::Stopped)) => {
                Some(Because::Spec { from: *from })
            }
            (None, Decision::Keep | Decision::Zero(_) | Decision::Blocked) => None,
        }
    }

    /// Takes in what the activators' totals grew by.
    pub fn record(&mut self, loads: &[Loaded], now: Instant) {
        self.judge.record(loads, now);
    }

    /// Whether time alone can change anything: at zero, with nothing going on, it cannot.
    pub fn is_awake(&self, view: &View) -> bool {
        !self.drains.is_empty() || view.floor() > 0 || view.revisions.iter().any(|revision| revision.replicas > 0)
    }

    /// Looks at everything. It is called on every change and now and then, and calling it again changes nothing.
    pub fn step(&mut self, view: &View, word: &Word, now: Instant, ids: &mut OrderIds) -> Vec<Effect> {
        self.note_wake(view, now);
        self.starts.tidy(view.revisions.iter().map(|revision| revision.name.as_str()), now);
        let idle = self.clock.observe(now, word.seen.iter().copied());
        let load = Load { said: word.said.clone(), idle, ready: word.ready };
        self.decision = view.serving().map(|serving| self.judge.decide(view, serving, &load, now));

        let goals: Vec<Goal<'_>> =
            view.revisions.iter().map(|revision| Goal { revision, want: self.goal(view, revision, now) }).collect();
        let steps = self.drains.step(&goals, &word.busy, &word.acks, now, ids);
        let mut effects: Vec<Effect> =
            steps.into_iter().map(|(revision, step)| self.effect(revision, step, now)).collect();
        effects.extend(self.raise(view, word, now));
        effects.extend(self.resizes.step(&view.revisions, &word.probed, now).into_iter().map(Effect::Resize));
        effects.extend(self.block(view, word, now));
        effects
    }

    /// The answer to [`Effect::Read`].
    pub fn read(
        &mut self,
        revision: &str,
        current: Result<Current, Outcome>,
        acks: &Acks,
        now: Instant,
    ) -> Option<Effect> {
        let step = self.drains.read(revision, current, acks, now)?;
        Some(self.effect(revision.to_owned(), step, now))
    }

    /// The answer to [`Effect::Write`].
    pub fn written(&mut self, revision: &str, outcome: Outcome, now: Instant) -> Option<Effect> {
        if outcome != Outcome::Done {
            // A raise is decided again with the next version; a write that nobody answered, after a while.
            if let Some(raise) = self.raises.get_mut(revision) {
                raise.tries += u32::from(outcome == Outcome::Failed);
                raise.again = now + (RAISE_AGAIN * 2_u32.saturating_pow(raise.tries.min(10))).min(RAISE_AGAIN_MOST);
            }
        }
        let step = self.drains.written(revision, outcome, now)?;
        Some(self.effect(revision.to_owned(), step, now))
    }

    /// Costs of these pods (UIDs), which an [`Effect::Mark`] asked for, are not as asked. Gives an effect if that is given up
    /// for now.
    pub fn unmarked(&mut self, revision: &str, pods: &BTreeSet<String>, now: Instant) -> Option<Effect> {
        let step = self.drains.unmarked(revision, pods, now)?;
        Some(self.effect(revision.to_owned(), step, now))
    }

    /// An [`Effect::Mark`] found no place among the open calls: the next look asks for it again.
    pub fn mark_postponed(&mut self, marking: &Marking, now: Instant) {
        self.drains.mark_postponed(marking, now);
    }

    /// An [`Effect::Resize`] found no place among the open calls: the next look asks for it again.
    pub fn resize_postponed(&mut self, pod: &str, now: Instant) {
        self.resizes.postponed(pod, now);
    }

    /// The answer to [`Effect::Resize`]. Gives the words of a refusal that stands.
    pub fn resized(&mut self, pod: &str, outcome: Resized, now: Instant) -> Option<String> {
        self.resizes.answered(pod, outcome, now)
    }

    /// A function that was just woken gets its whole window, also where the wake is seen before its cause is told.
    fn note_wake(&mut self, view: &View, now: Instant) {
        let serving = view.serving().map(|serving| (serving.name.clone(), serving.replicas));
        if let (Some((before, 0)), Some((name, replicas))) = (&self.served, &serving)
            && before == name
            && *replicas > 0
        {
            self.clock.touch(now);
        }
        self.served = serving;
    }

    fn goal(&self, view: &View, revision: &Revision, now: Instant) -> Option<Want> {
        let failed = revision.failed.then_some(Why::Failed).filter(|_| self.starts.may_lower(&revision.name, now));
        match revision.role {
            Role::Serving => match self.decision? {
                Decision::Lower(to) => Some(Want { why: Why::Excess, to }),
                Decision::Zero(Why::Failed) => failed.map(Want::none),
                Decision::Zero(why) => Some(Want::none(why)),
                Decision::Keep | Decision::Raise(_) | Decision::Blocked => None,
            },
            Role::Candidate => failed.or(view.is_stopped().then_some(Why::Stopped)).map(Want::none),
            Role::Retired => failed.or(Some(Why::Retired)).map(Want::none),
        }
    }

    fn effect(&mut self, revision: String, step: Step, now: Instant) -> Effect {
        match step {
            Step::Read => Effect::Read { revision },
            Step::Lower { to, version } => Effect::Write { revision, replicas: to, way: Way::Down, version },
            Step::Mark(marking) => Effect::Mark { revision, marking },
            Step::Ended(why, end) => {
                if why == Why::Failed && matches!(end, End::Lowered { .. } | End::Raised) {
                    self.starts.lowered(&revision, now);
                }
                Effect::Ended { revision, why, end }
            }
        }
    }

    /// Raises the serving revision to what was decided, and a candidate to the serving one's size. The version that was seen
    /// is the condition of the write, so a wake that is not seen yet is never undone.
    fn raise(&mut self, view: &View, word: &Word, now: Instant) -> Vec<Effect> {
        let size = match (self.decision, view.serving()) {
            // What is about to go needs no successor at its size.
            (None | Some(Decision::Zero(_)), _) | (_, None) => 0,
            (Some(Decision::Lower(to)), _) => to,
            (_, Some(serving)) => serving.replicas,
        };
        // The serving one may still be on its way there.
        let size = size.min(view.fixed.unwrap_or(view.settings.max));
        let wanted = |revision: &Revision| match (revision.role, self.decision) {
            (Role::Serving, Some(Decision::Raise(to))) => Some(to),
            // To the size of the one that it follows, before it takes over. Never down.
            (Role::Candidate, _) if !view.is_stopped() && !revision.failed => {
                (revision.replicas < size).then_some(size)
            }
            _ => None,
        };
        // A request starts a failed function at once. Where the number is fixed no activator does that.
        let asked_for = view.fixed.is_some() && word.said.iter().any(|said| said.held > 0);
        let mut effects = Vec::new();
        let mut raises = BTreeMap::new();
        for revision in &view.revisions {
            let rested = self.starts.may_raise(&revision.name, now) || (asked_for && revision.role == Role::Serving);
            let free = !self.drains.holds(&revision.name) && rested;
            let Some(replicas) = wanted(revision).filter(|_| free) else { continue };
            let asked = self.raises.get(&revision.name);
            let waits = |asked: &&Raise| (asked.version == revision.version || asked.tries > 0) && now < asked.again;
            if let Some(asked) = asked.filter(waits) {
                raises.insert(revision.name.clone(), asked.clone());
                continue;
            }
            let tries = asked.map_or(0, |asked| asked.tries);
            let raise = Raise { version: revision.version.clone(), again: now + RAISE_AGAIN, tries };
            raises.insert(revision.name.clone(), raise);
            let version = revision.version.clone();
            effects.push(Effect::Write { revision: revision.name.clone(), replicas, way: Way::Up, version });
        }
        self.raises = raises;
        effects
    }

    /// Whether a scale-down is held up, and whether to tell.
    fn block(&mut self, view: &View, word: &Word, now: Instant) -> Option<Effect> {
        let silent = word.seen.iter().filter(|seen| matches!(seen, Seen::Unknown)).count();
        let activators = |missing| Effect::Blocked { missing, of: word.seen.len() };
        let (by, effect) = match (self.decision, view.serving(), self.drains.unacknowledged(&word.acks)) {
            (Some(Decision::Blocked), ..) => (Obstacle::Silence, activators(silent)),
            (_, _, Some(waiting)) => (Obstacle::Order, activators(waiting.max(silent))),
            (Some(Decision::Lower(_)), Some(serving), None)
                if !serving.is_whole() && !self.drains.has(&serving.name) =>
            {
                let ready = serving.pods.intersection(&serving.ready).count();
                (Obstacle::Unready, Effect::Unready { ready, of: serving.replicas })
            }
            _ => {
                self.blocked = None;
                return None;
            }
        };
        // An order that has just been given is no continuation of what held up the decision.
        let before = self.blocked.filter(|blocked| blocked.by == by);
        let blocked = self.blocked.insert(before.unwrap_or(Blocked { since: now, by, told: false }));
        if blocked.told || now.saturating_duration_since(blocked.since) < BLOCKED_AFTER {
            return None;
        }
        blocked.told = true;
        Some(effect)
    }
}

#[cfg(test)]
mod tests;
