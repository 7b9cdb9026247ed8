//! Writes Events, each with a deadline and never twice.
//!
//! By the `v1` API, as Kubernetes' own controllers do, and not by `events.k8s.io/v1`: there an update may not change the note (its
//! `ValidateEventUpdate` takes a change of the series only), so that of something that repeats the user would read what was so the
//! first time; and it has no `lastTimestamp`, by which `kubectl describe` puts Events in order.

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tokio::time::Instant;

use super::{
    DEADLINE, Note,
    told::{Subject, Told},
};

/// Who tells. The admission policy `events` of the chart goes by it.
const COMPONENT: &str = "rouse-operator";

/// Writes Events, and remembers which there are.
pub(super) struct Recorder {
    client: Client,
    instance: String,
    told: Told,
}

impl Recorder {
    /// `instance`: name of this pod.
    pub(super) fn new(client: Client, instance: &str) -> Self {
        Self { client, instance: instance.to_owned(), told: Told::default() }
    }

    /// Makes an Event of a note, or gives the one that says the same its newest text and count.
    ///
    /// # Errors
    /// [`CallError`]. The note is lost then, but for the count if it is told again.
    pub(super) async fn record(&mut self, about: &ObjectReference, note: &Note, now: Instant) -> Result<(), CallError> {
        let subject = Subject::new(about, note);
        let api = Api::namespaced(self.client.clone(), about.namespace.as_deref().unwrap_or("default"));
        within(DEADLINE, async {
            if let Some((name, count)) = self.told.again(&subject, now) {
                match again(&api, &name, note, count).await {
                    // It was deleted, or its time was over.
                    Err(kube::Error::Api(answer)) if answer.code == 404 => self.told.forget(&subject),
                    answer => return answer,
                }
            }
            let event = self.event(about, note);
            api.create(&PostParams::default(), &event).await?;
            self.told.once(subject, event.metadata.name.unwrap_or_default(), now);
            Ok(())
        })
        .await
    }

    fn event(&self, about: &ObjectReference, note: &Note) -> Event {
        let now = Timestamp::now();
        let related = note.revision.as_ref().map(|revision| ObjectReference {
            api_version: Some("apps/v1".to_owned()),
            kind: Some("Deployment".to_owned()),
            namespace: about.namespace.clone(),
            name: Some(revision.clone()),
            ..ObjectReference::default()
        });
        let name = format!("{}.{:x}", about.name.as_deref().unwrap_or(COMPONENT), now.as_nanosecond());
        Event {
            metadata: ObjectMeta { name: Some(name), namespace: about.namespace.clone(), ..ObjectMeta::default() },
            type_: Some(if note.warning { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(note.reason.clone()),
            action: Some(note.action.to_owned()),
            message: Some(note.text.clone()),
            involved_object: about.clone(),
            related,
            count: Some(1),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            source: Some(EventSource { component: Some(COMPONENT.to_owned()), ..EventSource::default() }),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.instance.clone()),
            ..Event::default()
        }
    }
}

/// The same thing once more: with what is so now.
async fn again(api: &Api<Event>, name: &str, note: &Note, count: i32) -> Result<(), kube::Error> {
    let patch = json!({"message": note.text, "count": count, "lastTimestamp": Time(Timestamp::now())});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
}
