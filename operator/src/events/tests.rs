use std::sync::Arc;

use crds::Function;
use k8s_openapi::api::core::v1::Event;
use runtime::client::CallError;
use serde_json::json;
use tokio::sync::watch;

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
    events.publish(&function, Note { warning: true, reason: "Test".to_owned(), action: "Test", text, revision: None });
    drop(events);
    write.await;
    assert_eq!(server.log(), Vec::<String>::new());
    assert_eq!(metrics.events_dropped.get(), 1);
}

/// What a test tells, and what the API server has of it.
struct Teller {
    server: Arc<api::Api>,
    metrics: Metrics,
    function: Function,
    notes: Vec<Note>,
}

impl Teller {
    fn new() -> Self {
        let function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
        Self { server: Arc::default(), metrics: Metrics::default(), function, notes: Vec::new() }
    }

    fn tell(&mut self, reason: &str, revision: &str, text: &str) -> &mut Self {
        let (reason, text, revision) = (reason.to_owned(), text.to_owned(), Some(revision.to_owned()));
        self.notes.push(Note { warning: false, reason, action: "Scale", text, revision });
        self
    }

    /// A writer of its own for what waits; the verbs of its requests.
    async fn written(&mut self) -> Vec<String> {
        let client = Client::new(api::service(&self.server), "default");
        let (events, write) = Events::new(client, "operator-0", term(true), self.metrics.clone());
        self.notes.drain(..).for_each(|note| events.publish(&self.function, note));
        drop(events);
        write.await;
        self.server.news().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
    }

    /// Reason, count and message of every Event.
    fn shown(&self) -> Vec<(String, i32, String)> {
        let mut events: Vec<Event> = self.server.all("events");
        events.sort_by(|a, b| (&a.reason, &a.message).cmp(&(&b.reason, &b.message)));
        let all = events.into_iter();
        all.map(|e| (e.reason.unwrap(), e.count.unwrap(), e.message.unwrap())).collect()
    }
}

fn shown(reason: &str, count: i32, message: &str) -> (String, i32, String) {
    (reason.to_owned(), count, message.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_same_again_raises_a_count_and_shows_what_is_so_now() {
    let mut teller = Teller::new();
    teller.tell("ScaledUp", "r1", "From 1 to 2.").tell("ScaledUp", "r1", "From 2 to 5.");
    teller.tell("ScaledUp", "r2", "From 0 to 1.").tell("ScaledUp", "r1", "From 5 to 9.");
    assert_eq!(teller.written().await, ["create", "merge", "create", "merge"]);
    assert_eq!(teller.shown(), [shown("ScaledUp", 1, "From 0 to 1."), shown("ScaledUp", 3, "From 5 to 9.")]);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_as_kubectl_shows_it() {
    let mut teller = Teller::new();
    teller.tell("ScaledUp", "hello-1", "From 1 to 2.").tell("ScaledUp", "hello-1", "From 2 to 5.").written().await;
    let event = teller.server.all::<Event>("events").remove(0);
    let about = &event.involved_object;
    assert_eq!((about.kind.as_deref(), about.name.as_deref()), (Some("Function"), Some("hello")));
    assert_eq!((about.api_version.as_deref(), &about.uid), (Some("rouse.dev/v1alpha1"), &teller.function.metadata.uid));
    assert_eq!((&about.resource_version, about.namespace.as_deref()), (&None, Some("shop")));
    assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(event.related.and_then(|related| related.name).as_deref(), Some("hello-1"));
    assert_eq!((event.type_.as_deref(), event.action.as_deref()), (Some("Normal"), Some("Scale")));
    assert_eq!(event.source.and_then(|source| source.component).as_deref(), Some("rouse-operator"));
    assert_eq!(event.reporting_component.as_deref(), Some("rouse-operator"));
    assert_eq!(event.reporting_instance.as_deref(), Some("operator-0"));
    // It is put in order by the last, and its age is told by both.
    assert!(event.first_timestamp.is_some() && event.first_timestamp <= event.last_timestamp);
    // With these, the older ones are not looked at, or not allowed.
    assert_eq!((event.event_time, event.series), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_repeat_tells_when_it_was() {
    let server = Arc::new(api::Api::default());
    let mut recorder = Recorder::new(Client::new(api::service(&server), "default"), "operator-0");
    let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
    let mut note =
        Note { warning: true, reason: "Test".to_owned(), action: "Test", text: "One.".to_owned(), revision: None };
    recorder.record(&function.object_ref(&()), &note, Instant::now()).await.unwrap();
    let name = server.all::<Event>("events").remove(0).metadata.name.unwrap();
    server.change(
        "events",
        &name,
        &json!({"firstTimestamp": "2020-01-01T00:00:00Z", "lastTimestamp": "2020-01-01T00:00:00Z"}),
    );
    note.text = "Two.".to_owned();
    recorder.record(&function.object_ref(&()), &note, Instant::now()).await.unwrap();
    let event = server.get("events", &name).unwrap();
    assert_eq!((&event["message"], &event["count"], &event["type"]), (&json!("Two."), &json!(2), &json!("Warning")));
    assert_eq!(event["firstTimestamp"], "2020-01-01T00:00:00Z");
    assert!(event["lastTimestamp"].as_str().is_some_and(|last| last > "2026-01-01T00:00:00Z"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_gone_is_made_anew() {
    let server = Arc::new(api::Api::default());
    let mut recorder = Recorder::new(Client::new(api::service(&server), "default"), "operator-0");
    let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
    let note =
        Note { warning: false, reason: "Test".to_owned(), action: "Test", text: "One.".to_owned(), revision: None };
    for _ in 0..2 {
        recorder.record(&function.object_ref(&()), &note, Instant::now()).await.unwrap();
    }
    let name = server.all::<Event>("events").remove(0).metadata.name.unwrap();
    server.remove("events", &name);
    for _ in 0..2 {
        recorder.record(&function.object_ref(&()), &note, Instant::now()).await.unwrap();
    }
    let verbs: Vec<_> = server.log().iter().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect();
    assert_eq!(verbs, ["create", "merge", "merge", "create", "merge"]);
    assert_eq!(server.all::<Event>("events").remove(0).count, Some(2), "the count begins anew, too");
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_counted_and_holds_up_nothing() {
    let mut teller = Teller::new();
    teller.server.refuse("create events", 403, "the namespace is being terminated");
    teller.tell("ScaledUp", "r1", "One.").tell("ScaledDown", "r1", "Two.");
    assert_eq!(teller.written().await, ["create", "create"], "each is tried once");
    assert_eq!((teller.metrics.events_dropped.get(), teller.shown()), (2, vec![]));
    teller.server.relent();
    teller.server.refuse("merge events", 500, "no");
    teller.tell("ScaledUp", "r1", "Three.").tell("ScaledUp", "r1", "Four.").tell("ScaledDown", "r1", "Five.");
    assert_eq!(teller.written().await, ["create", "merge", "create"]);
    assert_eq!(teller.metrics.events_dropped.get(), 3);
    assert_eq!(teller.shown(), [shown("ScaledDown", 1, "Five."), shown("ScaledUp", 1, "Three.")]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let silent = tower::service_fn(|_: http::Request<kube::client::Body>| {
        std::future::pending::<Result<http::Response<http_body_util::Full<bytes::Bytes>>, std::convert::Infallible>>()
    });
    let mut recorder = Recorder::new(Client::new(silent, "default"), "operator-0");
    let function: Function = serde_json::from_value(fixtures::function(json!({}))).unwrap();
    let note =
        Note { warning: false, reason: "Test".to_owned(), action: "Test", text: "One.".to_owned(), revision: None };
    let start = Instant::now();
    let answer = recorder.record(&function.object_ref(&()), &note, start).await;
    assert!(matches!(answer, Err(CallError::Deadline(DEADLINE))), "{answer:?}");
    assert_eq!(start.elapsed(), DEADLINE);
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
