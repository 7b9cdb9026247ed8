//! Which Events there are already, so that the same thing again changes one of them. Pure.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

use super::Note;

/// Events that are remembered. Of more, the one that was told longest ago is forgotten: if it is told again, that makes another Event.
pub(super) const REMEMBERED: usize = 2048;
/// How long one is remembered. Kubernetes deletes an Event an hour after its last change (kube-apiserver's `--event-ttl`).
pub(super) const REMEMBERED_FOR: Duration = Duration::from_secs(3600);

/// What makes two notes the same thing told again: everything but the text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    /// UIDs are unique in a cluster, over all kinds and all time.
    uid: String,
    warning: bool,
    reason: String,
    action: &'static str,
    revision: Option<String>,
}

impl Subject {
    pub(super) fn new(about: &ObjectReference, note: &Note) -> Self {
        Self {
            uid: about.uid.clone().unwrap_or_default(),
            warning: note.warning,
            reason: note.reason.clone(),
            action: note.action,
            revision: note.revision.clone(),
        }
    }
}

/// An Event that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    name: String,
    count: i32,
    last: Instant,
}

/// The Events of this process.
#[derive(Debug, Default)]
pub(super) struct Told {
    written: HashMap<Subject, Written>,
}

impl Told {
    /// Counts the same thing once more: the name of its Event, and how often it was told by now. `None`: there is no Event.
    pub(super) fn again(&mut self, subject: &Subject, now: Instant) -> Option<(String, i32)> {
        let written = self.written.get_mut(subject).filter(|written| recent(written, now))?;
        written.count = written.count.saturating_add(1);
        written.last = now;
        Some((written.name.clone(), written.count))
    }

    /// It has an Event of this name now.
    pub(super) fn once(&mut self, subject: Subject, name: String, now: Instant) {
        self.written.retain(|_, written| recent(written, now));
        if self.written.len() >= REMEMBERED {
            let oldest =
                self.written.iter().min_by_key(|(_, written)| written.last).map(|(subject, _)| subject.clone());
            oldest.and_then(|subject| self.written.remove(&subject));
        }
        self.written.insert(subject, Written { name, count: 1, last: now });
    }

    /// Its Event is gone.
    pub(super) fn forget(&mut self, subject: &Subject) {
        self.written.remove(subject);
    }
}

fn recent(written: &Written, now: Instant) -> bool {
    now.saturating_duration_since(written.last) < REMEMBERED_FOR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(uid: &str, reason: &str) -> Subject {
        let about = ObjectReference { uid: Some(uid.to_owned()), ..ObjectReference::default() };
        let (reason, text) = (reason.to_owned(), "It is so.".to_owned());
        Subject::new(&about, &Note { warning: false, reason, action: "Scale", text, revision: None })
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_thing_is_counted_and_another_is_not() {
        let (mut told, now) = (Told::default(), Instant::now());
        assert_eq!(told.again(&subject("u", "ScaledUp"), now), None);
        told.once(subject("u", "ScaledUp"), "hello.1".to_owned(), now);
        assert_eq!(told.again(&subject("u", "ScaledUp"), now), Some(("hello.1".to_owned(), 2)));
        assert_eq!(told.again(&subject("u", "ScaledUp"), now), Some(("hello.1".to_owned(), 3)));
        assert_eq!(told.again(&subject("u", "ScaledDown"), now), None);
        assert_eq!(told.again(&subject("v", "ScaledUp"), now), None);
        told.forget(&subject("u", "ScaledUp"));
        assert_eq!(told.again(&subject("u", "ScaledUp"), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_forgotten_an_hour_after_it_was_told_last() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.once(subject("u", "ScaledUp"), "hello.1".to_owned(), start);
        let later = start + REMEMBERED_FOR - Duration::from_secs(1);
        assert!(told.again(&subject("u", "ScaledUp"), later).is_some());
        assert!(told.again(&subject("u", "ScaledUp"), start + REMEMBERED_FOR).is_some(), "it was told again since");
        let over = start + REMEMBERED_FOR * 2;
        assert_eq!(told.again(&subject("u", "ScaledUp"), over), None);
        told.once(subject("u", "Created"), "hello.2".to_owned(), over);
        assert_eq!(told.written.len(), 1, "what is forgotten takes no memory");
    }

    #[tokio::test(start_paused = true)]
    async fn of_too_many_the_one_told_longest_ago_is_forgotten() {
        let (mut told, start) = (Told::default(), Instant::now());
        let at = |n: usize| start + Duration::from_millis(u64::try_from(n).unwrap());
        for n in 0..REMEMBERED {
            told.once(subject(&n.to_string(), "ScaledUp"), n.to_string(), at(n));
        }
        assert!(told.again(&subject("0", "ScaledUp"), at(REMEMBERED)).is_some(), "now 1 was told longest ago");
        told.once(subject("one more", "ScaledUp"), "more".to_owned(), at(REMEMBERED + 1));
        assert_eq!(told.written.len(), REMEMBERED);
        assert_eq!(told.again(&subject("1", "ScaledUp"), at(REMEMBERED + 2)), None);
        for kept in ["0", "2", "one more"] {
            assert!(told.again(&subject(kept, "ScaledUp"), at(REMEMBERED + 2)).is_some(), "{kept}");
        }
    }
}
