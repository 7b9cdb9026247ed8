//! What can happen, one thing at a time.

use std::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::path::again::Cause;

/// The largest `scaling.target`, of which all is used.
pub(super) const MOST_TARGET: u32 = 3;

/// A script for two functions, each in a namespace of its own. Numbers of requests and pods are taken modulo those there are.
#[derive(Clone)]
pub(super) struct Script {
    /// Draws the order in which tasks run. 0 = as they were woken.
    pub(super) seed: u64,
    /// Requests that the process may hold.
    pub(super) most: usize,
    /// Bytes of heads that it may hold.
    pub(super) bytes: usize,
    /// What one namespace may have of both.
    pub(super) percent: u8,
    pub(super) lines: Vec<Line>,
}

/// One step a line, so that a failure can be read. `&` = nobody gets to run before the next one.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, most, bytes, percent, lines } = self;
        write!(f, "seed {seed}, room for {most} requests and {bytes} bytes, {percent} % of it for a namespace")?;
        for Line { step, settle } in lines {
            write!(f, "\n    {step:?}{}", if *settle { "" } else { " &" })?;
        }
        Ok(())
    }
}

/// One step, and whether everybody gets to run after it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) step: Step,
    pub(super) settle: bool,
}

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A request to a function.
    Arrive(usize),
    /// The caller of a request that has no answer yet goes away.
    Cancel(usize),
    /// A pod begins to answer a request.
    Answer(usize),
    /// A response ends.
    End(usize),
    /// A request comes back from its pod, to go to another.
    Back(usize, Cause),
    /// An exchange with a pod breaks, and cannot be repeated.
    Break(usize),
    /// A pod of a function has an address.
    Appear(usize),
    /// The probe of a pod passes.
    Ready(usize),
    /// A pod cannot be reached.
    Doubt(usize),
    /// A pod gets another address.
    Move(usize),
    /// A pod is being deleted.
    Delete(usize),
    /// A pod is gone.
    Vanish(usize),
    /// The container of a pod cannot start.
    Crash(usize),
    /// The leader has these pods of a function drained, by their numbers' last bits; none = it takes its orders back.
    Drain(usize, u8),
    /// A leader listens, or none does.
    Leader(bool),
    /// A function's settings change.
    Settings(usize, Settings),
    /// A function is deleted.
    Remove(usize),
    /// It is made again, if there is none.
    Create(usize),
    /// How the API server answers from now on.
    Api(Mood),
    /// The watch shows a function's Deployment as it is.
    Watch(usize),
    /// Somebody scales a function's Deployment to zero.
    Lower(usize),
    /// Milliseconds pass.
    Pass(u64),
}

/// What of a function's spec concerns those who wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) queue: i32,
    pub(super) target: i32,
    pub(super) most: i32,
    pub(super) mode: Mode,
}

/// `spec.scaling.mode`, with the replicas where they are set by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Auto,
    Paused,
    Manual(i32),
}

/// How the API server takes a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It does it and says so.
    Well,
    /// It does it and nobody hears.
    Silent,
    /// It does nothing, with this status.
    Bad(u16),
}

impl Settings {
    pub(super) const FIRST: Self = Self { queue: 4, target: 1, most: 3, mode: Mode::Auto };
}

fn settings() -> impl Strategy<Value = Settings> {
    let mode = prop_oneof![4 => Just(Mode::Auto), 1 => Just(Mode::Paused), 1 => (0..3).prop_map(Mode::Manual)];
    let all = (0..6i32, 1..=MOST_TARGET.cast_signed(), 1..4i32, mode);
    all.prop_map(|(queue, target, most, mode)| Settings { queue, target, most, mode })
}

fn step() -> impl Strategy<Value = Step> {
    let one = || 0..8usize;
    // The first function more often than the other.
    let function = || prop_oneof![3 => Just(0usize), 1 => Just(1usize)];
    let cause = prop_oneof![Just(Cause::Unsent), Just(Cause::Gone), Just(Cause::Stale), Just(Cause::Lost)];
    let mood = prop_oneof![
        3 => Just(Mood::Well), 1 => Just(Mood::Silent),
        1 => prop_oneof![Just(403u16), Just(409), Just(503)].prop_map(Mood::Bad)
    ];
    let millis = prop_oneof![Just(1u64), Just(30), Just(300), Just(1000), Just(2500), Just(6000)];
    prop_oneof![
        16 => function().prop_map(Step::Arrive),
        5 => one().prop_map(Step::Cancel),
        6 => one().prop_map(Step::Answer),
        3 => one().prop_map(Step::End),
        5 => (one(), cause).prop_map(|(request, cause)| Step::Back(request, cause)),
        1 => one().prop_map(Step::Break),
        5 => function().prop_map(Step::Appear),
        9 => one().prop_map(Step::Ready),
        2 => one().prop_map(Step::Doubt),
        1 => one().prop_map(Step::Move),
        1 => one().prop_map(Step::Delete),
        1 => one().prop_map(Step::Vanish),
        1 => one().prop_map(Step::Crash),
        3 => (function(), 0..8u8).prop_map(|(function, pods)| Step::Drain(function, pods)),
        1 => any::<bool>().prop_map(Step::Leader),
        3 => (function(), settings()).prop_map(|(function, settings)| Step::Settings(function, settings)),
        1 => function().prop_map(Step::Remove),
        2 => function().prop_map(Step::Create),
        2 => mood.prop_map(Step::Api),
        4 => function().prop_map(Step::Watch),
        1 => function().prop_map(Step::Lower),
        6 => millis.prop_map(Step::Pass),
    ]
}

pub(super) fn script() -> impl Strategy<Value = Script> {
    let line = (step(), prop::bool::weighted(0.7)).prop_map(|(step, settle)| Line { step, settle });
    let room = prop_oneof![Just(100usize), 2..8usize];
    let bytes = prop_oneof![4 => Just(100_000usize), 1 => 50..400usize];
    let percent = prop_oneof![Just(100u8), Just(50)];
    (any::<u64>(), room, bytes, percent, vec(line, 1..60)).prop_map(|(seed, most, bytes, percent, lines)| Script {
        seed,
        most,
        bytes,
        percent,
        lines,
    })
}
