use crds::{Function, Reason, condition};
use serde_json::json;

use super::*;
use crate::{
    function::{Error, Pass, reconcile},
    testing::{World, fixtures::function},
};

/// A world with a Function that no pass has looked at, and its status as one would write it.
fn unlooked() -> (World, Arc<Function>) {
    let mut world = World::new();
    world.api.put("functions", function(json!({"resources": {"memory": "1Mi"}})));
    world.sync();
    let seen = world.cx.stores.functions.state().remove(0);
    (world, seen)
}

async fn told(world: &World, function: &Function) -> Result<Written, CallError> {
    let cx = &world.cx;
    write(cx, function, &json!({"observedGeneration": 1}), &cx.stores.functions, &cx.recent.functions).await
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_refused_of_an_object_that_is_there_is_an_error() {
    let (mut world, seen) = unlooked();
    world.api.refuse("patch functions hello status", 422, "status.replicas: Invalid value");
    assert_eq!(told(&world, &seen).await.unwrap_err().status(), Some(422));
    assert!(matches!(world.pass("hello").await, Err(Error::Status(_))), "the pass is repeated");
    world.api.relent();
    world.settle("hello").await;
    let conditions = world.function("hello").status.unwrap().conditions;
    let stalled = condition::find(&conditions, crds::ConditionType::Stalled).unwrap();
    assert_eq!(stalled.reason, Reason::InvalidSpec.as_str());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_no_error() {
    let (mut world, seen) = unlooked();
    let mut anew = function(json!({}));
    anew["metadata"]["uid"] = json!("22222222-0000-0000-0000-000000000000");
    world.api.put("functions", anew);
    assert!(told(&world, &seen).await.is_err(), "as far as is known it is there");
    world.sync();
    assert_eq!(told(&world, &seen).await.unwrap(), Written::Gone);
    assert_eq!(reconcile(Arc::clone(&seen), &world.cx).await.unwrap(), Pass::Done(None));
    world.api.remove("functions", "hello");
    assert_eq!(told(&world, &seen).await.unwrap(), Written::Gone);
    world.sync();
    world.api.refuse("patch functions hello status", 422, "test failed");
    assert_eq!(told(&world, &seen).await.unwrap(), Written::Gone);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_term_may_not_outlast_is_tried_again() {
    let (world, seen) = unlooked();
    // A second more than the write: clocks differ.
    world.leads_for(DEADLINE + Duration::from_millis(999));
    assert_eq!(told(&world, &seen).await.unwrap(), Written::NotNow);
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(Some(AGAIN)));
    assert_eq!(world.api.news(), Vec::<String>::new());
    world.leads_for(DEADLINE + Duration::from_secs(1));
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(None));
    assert_eq!(world.api.news(), ["patch functions hello status"]);
}
