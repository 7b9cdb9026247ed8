//! Kubernetes Events about Functions and Triggers: what a user reads in `kubectl describe`. Best effort: never waited for, at most 20
//! a second, and the same thing again raises the count of the Event that is there and gives it its newest text ([`recorder`]). What
//! a term could not tell before its end is not told after it.

mod recorder;
mod told;

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Client, Resource};
use runtime::shorten;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tracing::debug;

use crate::{
    leadership::Leadership,
    metrics::{ApiWrite, Metrics},
};
use recorder::Recorder;

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
    sender: mpsc::Sender<(ObjectReference, Note)>,
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
        let write = write(receiver, Recorder::new(client, instance), leadership, metrics.clone());
        (Self { sender, metrics }, write)
    }

    /// Sends a note on its way. Never waits.
    pub fn publish(&self, object: &impl Resource<DynamicType = ()>, note: Note) {
        // Without the version: the same note about a later state of the object is the same note.
        let about = ObjectReference { resource_version: None, ..object.object_ref(&()) };
        // What is told once, and is bad news, finds a place when busy functions tell of their sizes.
        let crowded = !note.warning && self.sender.capacity() <= WAITING / 2;
        let note = Note { text: shorten::to_bytes(&note.text, MAX_NOTE), ..note };
        if crowded || self.sender.try_send((about, note)).is_err() {
            self.metrics.events_dropped.inc();
        }
    }
}

async fn write(
    mut receiver: mpsc::Receiver<(ObjectReference, Note)>,
    mut recorder: Recorder,
    leadership: Leadership,
    metrics: Metrics,
) {
    while let Some((about, note)) = receiver.recv().await {
        if leadership.good_for(DEADLINE).is_none() {
            metrics.events_dropped.inc();
            continue;
        }
        match recorder.record(&about, &note, Instant::now()).await {
            Ok(()) => metrics.wrote(ApiWrite::Event),
            Err(error) => {
                metrics.events_dropped.inc();
                debug!(%error, reason = note.reason, "An Event could not be written.");
            }
        }
        sleep(PACE).await;
    }
}

#[cfg(test)]
mod tests;
