//! Every order of everything that can happen, as far as it may happen often: a breadth-first search over all states of
//! [`World`], with the real [`Drains`] in it. What breaks is shown with the shortest way there.
//!
//! The model: orders and reports that come late or not at all, orders that lapse or are made void by who needs the pods,
//! requests that come, wait, stay and end, a store of which each half is behind as long as it likes, a ReplicaSet
//! controller that sees costs late, others who raise or touch the Deployment, calls that are refused, conflict, are carried
//! out late or lose their answer, goals that change, and the clock at any time between.
//!
//! It has one revision, so that what is in flight on the order's pods is what is in flight on its own, and a store that
//! says of no pod that it does not show it: that only makes the operator wait. Both have tests of their own, in
//! `revisions.rs` and `excess.rs`.
//!
//! About 195,000 states, in nine worlds that differ in what may happen how often.
//!
//! What must hold is in `check.rs`. It rests on this: an activator gives pods back only once the leader knows that it
//! does not keep the order (a lapse comes later than being unheard, a void order is acknowledged no more).
//! What is not told apart: a deletion after the pods were given back because an answer was lost or the goal changed, and
//! one where the operator's picture of the pods was old. The pods' grace period is there for these; they are counted.

use std::collections::{HashMap, HashSet, VecDeque};

use super::*;

mod check;
mod events;
mod key;
mod operator;
mod world;

use events::Event;
use world::{Budget, Counts, Pace, World};

/// An acknowledgement from a tick before is stale, a cost may be asked for again; an order is given anew after two.
const COARSE: Pace = Pace { tick: Duration::from_millis(2500), linger: 1, prompt: false };
/// For what has more states than can be gone through otherwise.
const PROMPT: Pace = Pace { prompt: true, ..COARSE };

/// From any state it ends within so long a calm.
const CALM: Duration = Duration::from_secs(60);
/// More than can be due at one time.
const AT_ONCE: u32 = 200;

/// One search.
struct Run {
    goals: &'static [Option<Want>],
    ids: OrderIds,
    counts: Counts,
}

impl Run {
    /// Only who goes for idleness is asked for its requests.
    fn counts_requests(&self) -> bool {
        self.goals.contains(&IDLE)
    }
}

pub(super) const IDLE: Option<Want> = Some(Want { why: Why::Idle, to: 0 });
pub(super) const PAUSED: Option<Want> = Some(Want { why: Why::Stopped, to: 0 });
pub(super) const ONE: Option<Want> = Some(Want { why: Why::Excess, to: 1 });
pub(super) const TWO: Option<Want> = Some(Want { why: Why::Excess, to: 2 });

/// A state that was found, and from where.
struct Found {
    from: usize,
    by: Event,
}

fn trace(found: &[Found], mut at: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while at > 0 {
        events.push(found[at].by);
        at = found[at].from;
    }
    events.reverse();
    events
}

/// Goes through every state; gives how many there are, and what happened.
fn explore(replicas: usize, goals: &'static [Option<Want>], left: Budget, pace: Pace) -> (usize, Counts) {
    let mut run = Run { goals, ids: OrderIds::default(), counts: Counts::default() };
    let first = World::new(replicas, goals[0], left, pace);
    let mut seen: HashSet<Vec<u8>> = HashSet::from([first.key(true)]);
    let mut found = vec![Found { from: 0, by: Event::Tick }];
    let mut ends = HashMap::new();
    let mut queue = VecDeque::from([(first, 0)]);
    while let Some((world, at)) = queue.pop_front() {
        let broken = |what: String, found: &[Found], last: &[Event]| -> ! {
            panic!("{what}, after {:?} {last:?}\n{world:#?}", trace(found, at));
        };
        if let Err(what) = calm(&world, &mut run, &mut ends) {
            broken(what, &found, &[]);
        }
        for event in world.events(goals) {
            let mut next = world.clone();
            if let Err(what) = next.apply(event, &mut run) {
                broken(what, &found, &[event]);
            }
            if seen.insert(next.key(true)) {
                found.push(Found { from: at, by: event });
                queue.push_back((next, found.len() - 1));
            }
        }
    }
    println!("{replicas} {goals:?} {left:?}: {} states, {} in calm, {:?}", found.len(), ends.len(), run.counts);
    (found.len(), run.counts)
}

/// From here on nothing happens but what is due, and everybody is heard: it ends.
fn calm(world: &World, run: &mut Run, ends: &mut HashMap<Vec<u8>, u16>) -> Result<(), String> {
    let counts = run.counts;
    let mut way = Vec::new();
    let mut world = world.clone();
    let end = world.now + CALM;
    let mut rounds = loop {
        let key = world.key(false);
        if let Some(rounds) = ends.get(&key) {
            break *rounds;
        }
        if world.settled() {
            break 0;
        }
        if world.now > end {
            return Err(format!("it does not end: {world:#?}"));
        }
        way.push(key);
        world.round(run)?;
    };
    for key in way.into_iter().rev() {
        rounds += 1;
        ends.insert(key, rounds);
    }
    run.counts = counts;
    if world.pace.tick * rounds.into() > CALM { Err(format!("it takes {rounds} rounds to end")) } else { Ok(()) }
}

impl World {
    fn round(&mut self, run: &mut Run) -> Result<(), String> {
        self.left = Budget::default();
        for index in 0..self.activators.len() {
            self.activators[index].silent = false;
            self.activators[index].held = false;
            self.activators[index].flying = Default::default();
            self.apply(Event::Word(index), run)?;
        }
        let due = |event: &Event| !matches!(event, Event::Tick | Event::Word(_));
        for _ in 0..AT_ONCE {
            let Some(event) = self.events(&[]).into_iter().find(due) else { return self.apply(Event::Tick, run) };
            self.apply(event, run)?;
        }
        Err("it never comes to rest".to_owned())
    }
}

/// One way through a larger world, at a finer pace: three to six pods in its life, and everything may happen more often.
pub(super) fn walk(replicas: usize, choices: &[u16]) -> Result<(), String> {
    const GOALS: &[Option<Want>] = &[ONE, None, TWO, IDLE, PAUSED];
    let mut run = Run { goals: GOALS, ids: OrderIds::default(), counts: Counts::default() };
    let left = Budget { arrivals: 30, raises: 2, touches: 5, failures: 8, silences: 4, goals: 8 };
    let mut world =
        World::new(replicas, ONE, left, Pace { tick: Duration::from_millis(300), linger: 10, prompt: false });
    let mut way = Vec::new();
    let mut broken = Ok(());
    for choice in choices {
        let events = world.events(GOALS);
        let event = events[usize::from(*choice) % events.len()];
        way.push(event);
        broken = world.apply(event, &mut run);
        if broken.is_err() {
            break;
        }
    }
    let ended = broken.and_then(|()| calm(&world, &mut run, &mut HashMap::new()));
    ended.map_err(|what| format!("{what}, after {way:?}"))
}

#[test]
fn from_two_to_one_and_load_comes_back() {
    let left = Budget { arrivals: 1, goals: 1, ..Budget::default() };
    let (states, counts) = explore(2, &[ONE, None], left, COARSE);
    assert!(states > 45_000, "{states}");
    assert!(counts.named > 0 && counts.erred > 0 && counts.strays > 0 && counts.cancelled > 0 && counts.lingered > 0);
    assert_eq!((counts.late, counts.guessed), (0, 0), "nothing goes wrong by itself");
}

#[test]
fn from_three_to_one() {
    let (states, counts) = explore(3, &[ONE], Budget::default(), COARSE);
    assert!(states > 18_000, "{states}");
    assert!(counts.named > 0 && counts.erred > 0 && counts.strays > 0);
    assert_eq!((counts.late, counts.guessed), (0, 0));
}

#[test]
fn calls_that_fail() {
    let (states, counts) = explore(2, &[ONE, None], Budget { failures: 1, goals: 1, ..Budget::default() }, COARSE);
    assert!(states > 30_000, "{states}");
    assert!(counts.conflicts > 0 && counts.late > 0 && counts.cancelled > 0);
}

#[test]
fn others_write() {
    // An activator raises.
    let (states, counts) = explore(2, &[ONE], Budget { raises: 1, ..Budget::default() }, PROMPT);
    assert!(states > 15_000, "{states}");
    assert!(counts.raised > 0 && counts.conflicts > 0 && counts.cancelled > 0);
    let (states, counts) = explore(1, &[IDLE], Budget { raises: 1, ..Budget::default() }, COARSE);
    assert!(states > 12_000, "{states}");
    assert!(counts.raised > 0 && counts.conflicts > 0);
    // Somebody changes something else.
    let (states, counts) = explore(2, &[ONE], Budget { touches: 1, ..Budget::default() }, PROMPT);
    assert!(states > 1_000 && counts.conflicts > 0, "{states}");
}

#[test]
fn to_zero_while_requests_come_and_activators_are_not_heard() {
    let left = Budget { arrivals: 1, goals: 1, touches: 1, ..Budget::default() };
    let (states, counts) = explore(1, &[IDLE, None], left, COARSE);
    assert!(states > 14_000 && counts.cancelled > 0, "{states}");
    let (states, counts) = explore(1, &[PAUSED], Budget { arrivals: 1, silences: 1, ..Budget::default() }, COARSE);
    assert!(states > 7_500 && counts.lingered > 0, "{states}");
}

#[test]
fn from_some_to_all() {
    let (states, counts) = explore(2, &[ONE, PAUSED], Budget { goals: 1, ..Budget::default() }, COARSE);
    assert!(states > 19_000 && counts.lowered > 0 && counts.strays > 0, "{states}");
}
