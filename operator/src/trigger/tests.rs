use crds::{ConditionType, Trigger, condition};
use serde_json::{Value, json};

use super::*;
use crate::testing::{World, fixtures::function};

fn trigger(name: &str, created: &str, host: &str) -> Value {
    json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Trigger",
        "metadata": {"name": name, "namespace": "shop", "uid": name, "generation": 1, "creationTimestamp": created},
        "spec": {"functionRef": {"name": "hello"}, "http": {"hosts": [host]}},
    })
}

fn says(world: &World, name: &str) -> (String, String, bool) {
    let all: Vec<Trigger> = world.api.all("triggers");
    let status = all.into_iter().find(|t| t.metadata.name.as_deref() == Some(name)).unwrap().status.unwrap();
    let ready = condition::find(&status.conditions, ConditionType::Ready).unwrap();
    let stalled = condition::is_true(&status.conditions, ConditionType::Stalled);
    (ready.status.clone(), ready.reason.clone(), stalled)
}

fn is(status: &str, reason: &str, stalled: bool) -> (String, String, bool) {
    (status.to_owned(), reason.to_owned(), stalled)
}

#[tokio::test(start_paused = true)]
async fn all_triggers_are_judged_and_written_once() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.api.put("triggers", trigger("a-young", "2026-01-02T00:00:00Z", "api.example.com"));
    world.api.put("triggers", trigger("b-old", "2026-01-01T00:00:00Z", "api.example.com"));
    world.api.put("triggers", trigger("c-thief", "2026-01-01T00:00:00Z", "other.shop.svc"));
    world.sync();
    pass(&world.cx).await.unwrap();
    let mut news = world.api.news();
    news.sort();
    let expected: Vec<String> =
        ["a-young", "b-old", "c-thief"].map(|name| format!("patch triggers {name} status")).into();
    assert_eq!(news, expected);
    assert_eq!(says(&world, "b-old"), is("True", "Routed", false));
    assert_eq!(says(&world, "a-young"), is("False", "RouteConflict", true));
    assert_eq!(says(&world, "c-thief"), is("False", "HostReserved", true));

    // Neither before the watch has caught up nor after is anything written again.
    pass(&world.cx).await.unwrap();
    world.sync();
    pass(&world.cx).await.unwrap();
    assert_eq!(world.api.news(), Vec::<String>::new());

    // When the older one goes, the younger has the route.
    world.api.remove("triggers", "b-old");
    world.sync();
    pass(&world.cx).await.unwrap();
    assert_eq!(world.api.news(), ["patch triggers a-young status"]);
    assert_eq!(says(&world, "a-young"), is("True", "Routed", false));

    world.api.remove("functions", "hello");
    world.sync();
    pass(&world.cx).await.unwrap();
    assert_eq!(says(&world, "a-young"), is("False", "FunctionNotFound", false));
}

#[tokio::test(start_paused = true)]
async fn one_refused_write_does_not_keep_the_others() {
    let mut world = World::new();
    world.api.put("triggers", trigger("a", "2026-01-01T00:00:00Z", "a.example.com"));
    world.api.put("triggers", trigger("b", "2026-01-01T00:00:00Z", "b.example.com"));
    world.api.refuse("patch triggers a", 500, "etcd is away");
    world.sync();
    assert!(pass(&world.cx).await.is_err());
    assert_eq!(says(&world, "b"), is("False", "FunctionNotFound", false));
    world.api.relent();
    world.sync();
    world.api.news();
    pass(&world.cx).await.unwrap();
    assert_eq!(world.api.news(), ["patch triggers a status"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_status_is_tried_again_and_its_trigger_is_not_taken_for_gone() {
    let mut world = World::new();
    world.api.put("triggers", trigger("a", "2026-01-01T00:00:00Z", "a.example.com"));
    world.api.refuse("patch triggers a", 422, "status.conditions: Invalid value");
    world.sync();
    let running = tokio::spawn(run(Arc::clone(&world.cx)));
    sleep(Duration::from_secs(10)).await;
    let tries = world.api.news();
    assert!((4..=10).contains(&tries.len()), "with back-off: {tries:?}");
    world.api.relent();
    sleep(LONGEST).await;
    assert_eq!(world.api.news(), ["patch triggers a status"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_status_at_the_end_of_a_term_is_written_when_the_term_goes_on() {
    let mut world = World::new();
    world.api.put("triggers", trigger("a", "2026-01-01T00:00:00Z", "a.example.com"));
    world.sync();
    world.leads_for(Duration::from_secs(5));
    let running = tokio::spawn(run(Arc::clone(&world.cx)));
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.api.news(), Vec::<String>::new());
    world.leads_for(Duration::from_secs(60));
    sleep(AGAIN + TOGETHER).await;
    assert_eq!(world.api.news(), ["patch triggers a status"]);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn each_change_is_told_once_as_an_event() {
    let mut world = World::new();
    world.write_events();
    world.api.put("triggers", trigger("a", "2026-01-02T00:00:00Z", "a.example.com"));
    let mut told = Vec::new();
    let mut look = async |world: &mut World| -> Vec<(String, String, String)> {
        world.sync();
        pass(&world.cx).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let all: Vec<Value> = world.api.all("events");
        let new: Vec<Value> = all.into_iter().filter(|event| !told.contains(event)).collect();
        told.extend(new.iter().cloned());
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        new.iter()
            .map(|event| (text(&event["type"]), text(&event["reason"]), text(&event["involvedObject"]["name"])))
            .collect()
    };
    let is = |kind: &str, reason: &str| vec![(kind.to_owned(), reason.to_owned(), "a".to_owned())];
    assert_eq!(look(&mut world).await, is("Warning", "FunctionNotFound"));
    world.api.put("functions", function(json!({})));
    assert_eq!(look(&mut world).await, is("Normal", "Routed"));
    assert_eq!(look(&mut world).await, []);
    // Another generation that changes nothing of it.
    world.api.change("triggers", "a", &json!({"metadata": {"generation": 2}}));
    assert_eq!(look(&mut world).await, []);
    world.api.put("triggers", trigger("b", "2026-01-01T00:00:00Z", "a.example.com"));
    let mut both = look(&mut world).await;
    both.sort();
    let of_b = ("Normal".to_owned(), "Routed".to_owned(), "b".to_owned());
    assert_eq!(both, [of_b, is("Warning", "RouteConflict").remove(0)]);
}

#[tokio::test(start_paused = true)]
async fn a_trigger_of_another_namespace_is_not_named() {
    let mut elsewhere = trigger("secret-name", "2026-01-01T00:00:00Z", "api.example.com");
    elsewhere["metadata"]["namespace"] = json!("bank");
    let read = |value: Value| Arc::new(serde_json::from_value::<Trigger>(value).unwrap());
    let ours = read(trigger("ours", "2026-01-02T00:00:00Z", "api.example.com"));
    let domains = crds::route::Domains { external: "localhost".into(), cluster: "cluster.local".into() };
    let findings = judge::all(&[read(elsewhere), Arc::clone(&ours)], &HashSet::new(), &domains);
    let message = &findings[&judge::key(&ours)].message;
    assert!(
        message.contains("another namespace") && !message.contains("bank") && !message.contains("secret-name"),
        "{message}"
    );
}
