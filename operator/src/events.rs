//! Kubernetes Events about Functions and Triggers: what a user reads in `kubectl describe`. Best effort: never waited for, at most 20
//! a second, and the same thing again only raises the count of the Event that is there. What a term could not tell before
//! its end is not told after it.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{sync::mpsc, time};
use tracing::debug;

use crate::{
    leadership::Leadership,
    metrics::{ApiWrite, Metrics},
};

/// Events that may wait; more are thrown away and counted.
const WAITING: usize = 256;
/// Least time between two writes.
const PACE: Duration = Duration::from_millis(50);
/// For one write.
const DEADLINE: Duration = Duration::from_secs(5);
/// Longest note that the API takes, in bytes.
const MAX_NOTE: usize = 1024;

/// Something worth telling the user of a Function or a Trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Whether it is bad news.
    pub warning: bool,
    /// What happened, as one CamelCase word.
    pub reason: String,
    /// What was done about it or led to it, as one CamelCase word.
    pub action: &'static str,
    /// For people.
    pub text: String,
    /// The revision that it is about. Events about different revisions are not counted together.
    pub revision: Option<String>,
}

/// Where to put [`Note`]s. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Events {
    sender: mpsc::Sender<(ObjectReference, Event)>,
    metrics: Metrics,
}

impl Events {
    /// The sender, and the task that writes what is sent until every sender is gone.
    pub fn new(
        client: Client,
        instance: &str,
        leadership: Leadership,
        metrics: Metrics,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let reporter = Reporter { controller: "rouse-operator".to_owned(), instance: Some(instance.to_owned()) };
        let write = write(receiver, Recorder::new(client, reporter), leadership, metrics.clone());
        (Self { sender, metrics }, write)
    }

    /// Sends a note on its way. Never waits.
    pub fn publish(&self, object: &impl Resource<DynamicType = ()>, note: Note) {
        // Without the version: the same note about a later state of the object is the same note.
        let about = ObjectReference { resource_version: None, ..object.object_ref(&()) };
        let secondary = note.revision.map(|revision| ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            namespace: about.namespace.clone(),
            name: Some(revision),
            ..ObjectReference::default()
        });
        let bad = note.warning;
        let event = Event {
            type_: if bad { EventType::Warning } else { EventType::Normal },
            reason: note.reason,
            note: Some(cut(note.text)),
            action: note.action.to_owned(),
            secondary,
        };
        // What is told once, and is bad news, finds a place when busy functions tell of their sizes.
        let crowded = !bad && self.sender.capacity() <= WAITING / 2;
        if crowded || self.sender.try_send((about, event)).is_err() {
            self.metrics.events_dropped.inc();
        }
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_NOTE {
        let end = (0..=MAX_NOTE - '…'.len_utf8()).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

async fn write(
    mut receiver: mpsc::Receiver<(ObjectReference, Event)>,
    recorder: Recorder,
    leadership: Leadership,
    metrics: Metrics,
) {
    while let Some((about, event)) = receiver.recv().await {
        if leadership.good_for(DEADLINE).is_none() {
            metrics.events_dropped.inc();
            continue;
        }
        match time::timeout(DEADLINE, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => metrics.wrote(ApiWrite::Event),
            Ok(Err(error)) => debug!(%error, reason = event.reason, "An Event could not be written."),
            Err(_) => debug!(reason = event.reason, "The API server did not take an Event in time."),
        }
        time::sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crds::Function;
    use serde_json::json;
    use tokio::{sync::watch, time::Instant};

    use super::*;
    use crate::{
        leadership::Term,
        testing::{api, fixtures},
    };

    /// A term that is long enough for a write, or just not.
    fn term(long: bool) -> Leadership {
        let least = DEADLINE + Duration::from_secs(1);
        let valid_until = Instant::now() + if long { least * 10 } else { least - Duration::from_millis(1) };
        Leadership::fixed(watch::channel(Some(Term { epoch: 1, valid_until })).1)
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_written_when_the_term_may_end_before() {
        let server = Arc::new(api::Api::default());
        let metrics = Metrics::default();
        let client = Client::new(api::service(&server), "default");
        let (events, write) = Events::new(client, "operator-0", term(false), metrics.clone());
        let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
        let text = "It is over.".to_owned();
        events.publish(
            &function,
            Note { warning: true, reason: "Test".to_owned(), action: "Test", text, revision: None },
        );
        drop(events);
        write.await;
        assert_eq!(server.log(), Vec::<String>::new());
        assert_eq!(metrics.events_dropped.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_again_raises_a_count() {
        let server = Arc::new(api::Api::default());
        let client = Client::new(api::service(&server), "default");
        let (events, write) = Events::new(client, "operator-0", term(true), Metrics::default());
        let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
        let note = |revision: &str| Note {
            warning: false,
            reason: "RevisionSwitched".to_owned(),
            action: "Switch",
            text: format!("{revision} serves."),
            revision: Some(revision.to_owned()),
        };
        for revision in ["r1", "r1", "r2"] {
            events.publish(&function, note(revision));
        }
        drop(events);
        write.await;
        let verbs: Vec<String> =
            server.log().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
        assert_eq!(verbs, ["create", "merge", "create"]);
    }

    #[tokio::test]
    async fn too_many_are_thrown_away_and_counted() {
        let metrics = Metrics::default();
        let client = Client::new(api::service(&Arc::default()), "default");
        let (events, _write) = Events::new(client, "operator-0", term(true), metrics.clone());
        let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
        for n in 0..WAITING + 3 {
            let text = n.to_string();
            let note = Note { warning: true, reason: "Test".to_owned(), action: "Test", text, revision: None };
            events.publish(&function, note);
        }
        assert_eq!(metrics.events_dropped.get(), 3);
    }

    #[test]
    fn a_long_note_is_cut_at_a_character() {
        let note = cut("é".repeat(MAX_NOTE));
        assert!(note.len() <= MAX_NOTE && note.ends_with('…'));
        assert_eq!(cut("short".to_owned()), "short");
    }
}
