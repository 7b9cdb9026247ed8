//! Every activator that counts, and what each has said. Pure.

use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};

use link::v1::Report;
use scale::{Said, Seen};

use crate::scaling::busy::Busy;

use super::{
    activator::{Ack, Activator, Changes},
    violation::Violation,
};

/// Names one stream of one activator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u64);

/// Activators by the UID of their pod.
#[derive(Debug, Default)]
pub struct Roster {
    activators: HashMap<String, Entry>,
    /// Those that may be serving requests, as the API server knows them.
    counting: BTreeSet<String>,
    streams: u64,
}

#[derive(Debug)]
struct Entry {
    stream: StreamId,
    activator: Activator,
}

/// How many activators there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heads {
    /// Whose word holds.
    pub known: usize,
    /// Who count and are not heard.
    pub unknown: usize,
}

impl Roster {
    /// A new stream of an activator; it takes the place of an earlier one.
    ///
    /// # Errors
    /// [`Violation`], and the activator is unknown.
    pub fn attach(&mut self, pod: &str, report: Report, now: Instant) -> Result<(StreamId, Changes), Violation> {
        let before = self.activators.remove(pod).map(|entry| entry.activator);
        let (activator, changes) = Activator::attach(before, report, now)?;
        self.streams += 1;
        let stream = StreamId(self.streams);
        self.activators.insert(pod.to_owned(), Entry { stream, activator });
        Ok((stream, changes))
    }

    /// A later report of a stream.
    ///
    /// # Errors
    /// [`Violation`]: the stream is to be closed.
    pub fn report(&mut self, pod: &str, stream: StreamId, report: Report, now: Instant) -> Result<Changes, Violation> {
        let entry = self.activators.get_mut(pod).filter(|entry| entry.stream == stream).ok_or(Violation::Replaced)?;
        entry.activator.report(report, now)
    }

    /// The stream is closed. A newer one of the same activator goes on.
    pub fn detach(&mut self, pod: &str, stream: StreamId) {
        if let Some(entry) = self.activators.get_mut(pod).filter(|entry| entry.stream == stream) {
            entry.activator.detach();
        }
    }

    /// Says whose word is needed. Others are forgotten, unless they are heard: who is heard may serve requests, whatever
    /// the API server knows of it.
    pub fn set_counting(&mut self, counting: BTreeSet<String>, now: Instant) {
        self.activators.retain(|pod, entry| counting.contains(pod) || entry.activator.is_heard(now));
        self.counting = counting;
    }

    /// What each activator says of a function's requests.
    pub fn seen(&self, function: &str, now: Instant) -> Vec<Seen> {
        self.members(now).into_iter().map(|one| one.map_or(Seen::Unknown, |one| one.seen(function, now))).collect()
    }

    /// What each activator that is heard last said of a function's requests at that moment.
    pub fn said(&self, function: &str, now: Instant) -> Vec<Said> {
        self.members(now).into_iter().flatten().filter_map(|one| one.said(function, now)).collect()
    }

    /// How many of these pods any activator that is heard has probed ready.
    pub fn ready<'a>(&self, pods: impl IntoIterator<Item = &'a str>, now: Instant) -> usize {
        let heard: Vec<&Activator> =
            self.activators.values().map(|entry| &entry.activator).filter(|one| one.is_heard(now)).collect();
        let ready = |pod: &&str| heard.iter().any(|one| one.pod(pod).is_some_and(|pod| pod.ready));
        pods.into_iter().filter(ready).count()
    }

    /// The newest acknowledgement of each activator for a function; `None` from who is not heard or has given none.
    pub fn acks(&self, function: &str, now: Instant) -> Vec<Option<Ack>> {
        let heard = |one: &&Activator| one.is_heard(now);
        self.members(now).into_iter().map(|one| one.filter(heard)?.ack(function).copied()).collect()
    }

    /// For each activator, in the order of [`Self::acks`]: those of these pods that it drains and where nothing of it is in
    /// flight. Nothing will be, as long as its acknowledgement of an order with them holds.
    pub fn empty<'a>(&self, pods: impl IntoIterator<Item = &'a String>, now: Instant) -> Vec<BTreeSet<String>> {
        let pods: Vec<&String> = pods.into_iter().collect();
        let of = |one: &Activator| -> BTreeSet<String> {
            let empty = |pod: &&&String| one.pod(pod).is_some_and(|pod| pod.drained && pod.in_flight == 0);
            pods.iter().filter(empty).map(|pod| (*pod).clone()).collect()
        };
        let heard = |one: &&Activator| one.is_heard(now);
        self.members(now).into_iter().map(|one| one.filter(heard).map(of).unwrap_or_default()).collect()
    }

    /// How many of these pods of a revision every activator has probed ready. `None`: not everybody is heard, or there
    /// is nobody.
    pub fn ready_pods(&self, revision: &str, pods: &[String], now: Instant) -> Option<usize> {
        let members = self.members(now);
        let heard: Vec<&Activator> = members.iter().flatten().copied().filter(|one| one.is_heard(now)).collect();
        if heard.is_empty() || heard.len() < members.len() {
            return None;
        }
        let ready = |pod: &str| heard.iter().all(|one| one.pod(pod).is_some_and(|p| p.ready && p.revision == revision));
        Some(pods.iter().filter(|pod| ready(pod)).count())
    }

    /// Whether any activator has probed one of these pods ready, heard or not.
    pub fn any_ready<'a>(&self, pods: impl IntoIterator<Item = &'a str>) -> bool {
        pods.into_iter()
            .any(|pod| self.activators.values().any(|entry| entry.activator.pod(pod).is_some_and(|p| p.ready)))
    }

    /// How busy each of these pods is, as last reported.
    pub fn busy<'a>(&self, pods: impl IntoIterator<Item = &'a str>) -> Busy {
        let mut busy = Busy::default();
        for pod in pods {
            for seen in self.activators.values().filter_map(|entry| entry.activator.pod(pod)) {
                busy.add(pod, seen.in_flight);
            }
        }
        busy
    }

    /// How many are heard, and how many count and are not.
    pub fn heads(&self, now: Instant) -> Heads {
        let members = self.members(now);
        let known = members.iter().flatten().filter(|one| one.is_heard(now)).count();
        Heads { known, unknown: members.len() - known }
    }

    /// Who counts, and who is heard all the same; `None` for one that never attached.
    fn members(&self, now: Instant) -> Vec<Option<&Activator>> {
        let extra = self
            .activators
            .iter()
            .filter(|(pod, entry)| !self.counting.contains(*pod) && entry.activator.is_heard(now));
        let counting = self.counting.iter().map(|pod| self.activators.get(pod).map(|entry| &entry.activator));
        counting.chain(extra.map(|(_, entry)| Some(&entry.activator))).collect()
    }
}

#[cfg(test)]
mod tests;
