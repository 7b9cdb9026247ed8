//! Revisions whose pods are given back for a while, because bringing them down failed. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{End, Want};

/// How long the pods are given back at first, doubled with each time up to [`REST_MOST`].
const REST: Duration = Duration::from_secs(5);
const REST_MOST: Duration = Duration::from_secs(300);

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest {
    pub(super) until: Instant,
    /// Times in a row.
    pub(super) rounds: u32,
    /// How it failed.
    end: End,
}

/// By revision.
#[derive(Clone, Debug, Default)]
pub(super) struct Rests(pub(super) BTreeMap<String, Rest>);

impl Rests {
    /// It failed once more, in this way.
    pub(super) fn begin(&mut self, revision: &str, end: End, now: Instant) {
        let rounds = self.0.get(revision).map_or(0, |rest| rest.rounds);
        let pause = (REST * 2_u32.saturating_pow(rounds.min(10))).min(REST_MOST);
        self.0.insert(revision.to_owned(), Rest { until: now + pause, rounds: rounds + 1, end });
    }

    /// Whether this has to wait. Where all pods go nobody need be named.
    pub(super) fn concern(&self, revision: &str, want: Want, now: Instant) -> bool {
        let waits = |rest: &Rest| now < rest.until && (want.to > 0 || rest.end != End::Unnamed);
        self.0.get(revision).is_some_and(waits)
    }

    /// It went well.
    pub(super) fn over(&mut self, revision: &str) {
        self.0.remove(revision);
    }
}
