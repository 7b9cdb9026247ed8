//! Pods that start with a higher CPU limit get their own once they are ready. Pure.
//!
//! It rests on what pods are, not on what happened to them: whichever pod is ready with a limit above its own is asked for,
//! so a leader that takes over goes on where another stopped, and a container that restarts has its own limit by then.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::view::Revision;

/// How long a resize may take to be seen, or to be answered at all, before it is asked for again.
const SEEN_WITHIN: Duration = Duration::from_secs(10);
/// Pause after a resize that failed, doubled with each.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MOST: Duration = Duration::from_secs(300);

/// How the API server answered a resize.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resized {
    /// It is as asked.
    Done,
    /// The pod is gone.
    Gone,
    /// It says no, in these words.
    Refused(String),
    /// It did not answer, or could not.
    Failed,
    /// Not even asked: the lease may not last as long.
    NotNow,
}

/// What is to be done about a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Give it its own limit, then call [`Resizes::answered`].
    Resize {
        /// Its revision.
        revision: String,
        /// Its UID.
        pod: String,
    },
    /// Tell that its node does not put its own limit in force.
    Stuck {
        /// Its revision.
        revision: String,
        /// Its UID.
        pod: String,
    },
}

/// What is remembered of the pods of one Function. Holds no more than there are.
#[derive(Debug, Default)]
pub struct Resizes {
    asked: BTreeMap<String, Asked>,
    stuck: BTreeSet<String>,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    again: Instant,
    failures: u32,
    /// The last answer was a refusal.
    refused: bool,
}

impl Resizes {
    /// Looks at every pod. `probed`: UIDs of those that an activator has proved ready.
    pub fn step(&mut self, revisions: &[Revision], probed: &BTreeSet<String>, now: Instant) -> Vec<Step> {
        self.asked.retain(|pod, _| revisions.iter().any(|revision| revision.boosted.contains(pod)));
        self.stuck.retain(|pod| revisions.iter().any(|revision| revision.stuck.contains(pod)));
        let mut steps = Vec::new();
        for revision in revisions {
            for pod in revision.boosted.intersection(probed) {
                let new = Asked { again: now, failures: 0, refused: false };
                let asked = self.asked.entry(pod.clone()).or_insert(new);
                if now >= asked.again {
                    asked.again = now + SEEN_WITHIN;
                    steps.push(Step::Resize { revision: revision.name.clone(), pod: pod.clone() });
                }
            }
            for pod in &revision.stuck {
                if self.stuck.insert(pod.clone()) {
                    steps.push(Step::Stuck { revision: revision.name.clone(), pod: pod.clone() });
                }
            }
        }
        steps
    }

    /// It was not asked for: there was no room.
    pub fn postponed(&mut self, pod: &str, now: Instant) {
        if let Some(asked) = self.asked.get_mut(pod) {
            asked.again = now;
        }
    }

    /// The answer to [`Step::Resize`]. Gives the words of a refusal that stands: the second in a row, since the first may be
    /// of a moment.
    pub fn answered(&mut self, pod: &str, outcome: Resized, now: Instant) -> Option<String> {
        let asked = self.asked.get_mut(pod)?;
        let refused_before = std::mem::replace(&mut asked.refused, matches!(outcome, Resized::Refused(_)));
        match &outcome {
            Resized::Done | Resized::Gone => (asked.again, asked.failures) = (now + SEEN_WITHIN, 0),
            Resized::NotNow => asked.again = now + PAUSE,
            Resized::Refused(_) | Resized::Failed => {
                let pause = PAUSE.saturating_mul(2_u32.saturating_pow(asked.failures)).min(PAUSE_MOST);
                (asked.again, asked.failures) = (now + pause, asked.failures.saturating_add(1));
            }
        }
        match outcome {
            Resized::Refused(words) if refused_before => Some(words),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
