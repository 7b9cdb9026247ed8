//! Whole passes against an API server that writes every request down.

mod boost;
mod children;
mod conditions;
mod owners;
mod revisions;
mod source;

use crds::{ConditionType, Reason, condition, labels, revision};
use serde_json::{Value, json};
use tokio::time::{Duration, advance};

use super::*;
use crate::testing::{
    World,
    fixtures::{UID, container, function, pod},
};

fn revision_of(spec: Value) -> String {
    let function: Function = serde_json::from_value(function(spec)).unwrap();
    revision::name("hello", &function.spec)
}

fn says(world: &World, kind: ConditionType) -> Option<(String, String)> {
    let status = world.function("hello").status?;
    let condition = condition::find(&status.conditions, kind)?;
    Some((condition.status.clone(), condition.reason.clone()))
}

fn said(status: &str, reason: Reason) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_string()))
}

/// A world with a Function that is set up, at zero.
async fn at_zero() -> World {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.settle("hello").await;
    world.api.news();
    world
}

/// Gives the revision `replicas`, with that many pods that are ready.
fn scale(world: &World, revision: &str, replicas: usize) {
    world.api.change("deployments", revision, &json!({"spec": {"replicas": replicas}}));
    for n in 0..replicas {
        let uid = format!("{revision}-{n}");
        world.api.put("pods", pod(revision, &uid));
        world.probed(&uid, true);
    }
}
