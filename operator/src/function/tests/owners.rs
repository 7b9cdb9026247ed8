//! Objects that are not this Function's, or not for long.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_foreign_object_is_not_touched() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello", "namespace": "shop", "uid": "s"},
        "spec": {"clusterIP": "10.1.1.1"}});
    world.api.put("services", foreign.clone());
    // Without our label it is in no store.
    assert_eq!(world.pass_unseen("hello").await, Pass::Blocked);
    assert_eq!(world.api.news(), ["create services hello", "get services hello", "patch functions hello status"]);
    assert_eq!(world.api.get("services", "hello").unwrap()["spec"], foreign["spec"]);
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::NameTaken));
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::NameTaken));

    world.api.remove("services", "hello");
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::ScaledToZero));
    assert_eq!(says(&world, ConditionType::Stalled), None);
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_function_left_is_waited_for() {
    let mut world = at_zero().await;
    let mut again = function(json!({}));
    again["metadata"]["uid"] = json!("22222222-0000-0000-0000-000000000000");
    world.api.put("functions", again);
    world.sync();
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Soon);
    assert_eq!(world.api.news(), ["patch functions hello status"]);
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::Terminating));
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::Terminating));

    for (kind, name) in
        [("services", "hello"), ("serviceaccounts", "rfn-hello"), ("deployments", &revision_of(json!({})))]
    {
        world.api.remove(kind, name);
    }
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::ScaledToZero));
}

/// The garbage collector's deletions may be seen before that of the Function.
#[tokio::test(start_paused = true)]
async fn nothing_is_made_anew_for_a_function_that_is_gone() {
    let mut world = at_zero().await;
    world.api.remove("services", "hello");
    world.sync();
    advance(crate::recent::LAG).await;
    let mut again = function(json!({}));
    again["metadata"]["uid"] = json!("22222222-0000-0000-0000-000000000000");
    world.api.put("functions", again);
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(None));
    world.api.remove("functions", "hello");
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(None));
    assert_eq!(world.api.news(), ["get functions hello", "get functions hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_being_deleted_is_not_applied_to() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let leaving =
        json!({"metadata": {"deletionTimestamp": "2026-01-02T03:04:05Z"}, "spec": {"revisionHistoryLimit": 9}});
    world.api.change("deployments", &name, &leaving);
    world.sync();
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Soon);
    assert_eq!(world.api.news(), ["patch functions hello status"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_that_is_being_deleted_is_left_alone() {
    let mut world = World::new();
    let mut leaving = function(json!({}));
    leaving["metadata"]["deletionTimestamp"] = json!("2026-01-02T03:04:05Z");
    world.api.put("functions", leaving);
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), Vec::<String>::new());
}
