//! What can go wrong at a write.

use std::{collections::HashMap, fmt};

use crate::server::USER;

/// What goes wrong at one write, or when the user does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// The process dies; the write never arrived.
    CrashBefore,
    /// It dies; the write took place.
    CrashAfter,
    /// There is no answer; the write took place.
    TimeoutApplied,
    /// Somebody else writes the object just before. Where it is to be made, it is there: somebody else's, for a moment.
    Conflict,
    /// The API server answers 409 and does nothing, as it does after too many tries of its own.
    Refused,
    /// It answers 500 and does nothing.
    Unavailable,
    /// The watches of the kind break, and what the write changed is told to none of them: they are resumed too late.
    MissedEvent,
    /// It dies after the write, and the next one lists everything as it was before the write, for a while.
    StaleList,
    /// The same, as it was before what the user did last.
    OldList,
}

use Fault::*;

impl Fault {
    /// What can go wrong at a write.
    pub(crate) fn at(write: &str) -> &'static [Self] {
        match write {
            USER => &[CrashAfter, MissedEvent, OldList],
            // Nothing is made of Events, and nobody waits for one.
            event if event.contains(" events ") => &[CrashBefore],
            _ => Self::ALL,
        }
    }

    const ALL: &[Self] =
        &[CrashBefore, CrashAfter, TimeoutApplied, Conflict, Refused, Unavailable, MissedEvent, StaleList, OldList];

    fn word(self) -> &'static str {
        match self {
            CrashBefore => "crash-before",
            CrashAfter => "crash-after",
            TimeoutApplied => "timeout-applied",
            Conflict => "conflict",
            Refused => "refused",
            Unavailable => "unavailable",
            MissedEvent => "missed-event",
            StaleList => "stale-list",
            OldList => "old-list",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A write by the step in which it comes, what it says, and the how many-th of these: the same in every run of a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Nth {
    pub(crate) step: usize,
    pub(crate) write: String,
    pub(crate) time: usize,
}

/// Waits for one write, once.
#[derive(Debug, Default)]
pub(crate) struct Trap {
    waits: Option<(Nth, Fault)>,
    seen: HashMap<String, usize>,
    step: usize,
}

impl Trap {
    pub(crate) fn new(waits: Option<(Nth, Fault)>) -> Self {
        Self { waits, seen: HashMap::new(), step: 0 }
    }

    /// The user does something.
    pub(crate) fn begin(&mut self, step: usize) {
        self.step = step;
        self.seen.clear();
    }

    /// Notes a write; gives which it is, and what goes wrong with it.
    pub(crate) fn note(&mut self, write: &str) -> (Nth, Option<Fault>) {
        let time = self.seen.entry(write.to_owned()).or_default();
        *time += 1;
        let nth = Nth { step: self.step, write: write.to_owned(), time: *time };
        let hit = self.waits.take_if(|(waits, _)| *waits == nth);
        (nth, hit.map(|(_, fault)| fault))
    }

    /// Whether it still waits.
    pub(crate) fn waits(&self) -> bool {
        self.waits.is_some()
    }
}
