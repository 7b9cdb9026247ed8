//! A new function: ready at once, and nothing of it runs.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Function, Reason, condition, labels};
use e2e::{
    record::Record,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    core::v1::{Event, Pod},
};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;

#[test]
fn a_new_function_is_ready_and_starts_no_pod() {
    scene("new", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        let mut took = Vec::new();
        for n in 0..5 {
            let begin = Instant::now();
            let function = scene.function(&format!("new-{n}"), json!({})).await?;
            took.push(begin.elapsed());
            healthy_at_zero(&scene, &function).await?;
        }
        took.sort();
        tell(format_args!("Ready after {:?} (median of 5), {:?} at most", took[2], took[4]));
        no_pod_ever(&scene, &pods).await?;
        // The same record would have shown one.
        ensure!(scene.get("new-0", "/").await?.status == 200, "the function does not answer");
        // The watch may tell of it after the answer.
        until("the pod is seen", PATIENCE, async || Ok((!pods.names().is_empty()).then_some(()))).await?;
        ensure!(pods.names().len() == 1, "after one request there were the pods {:?}", pods.names());
        Ok(())
    });
}

#[test]
fn passes_over_a_function_at_zero_start_no_pod() {
    scene("passes", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        scene.function("still", json!({})).await?;
        for pass in 1..=3 {
            // Each makes a generation, and its status proves that the operator has been over it.
            let changed = scene.change_function("still", json!({"scaling": {"maxReplicas": 10 + pass}})).await?;
            let generation = changed.metadata.generation.context("no generation")?;
            let seen = scene.function_when("still", "observed", |f| observed(f) >= generation).await?;
            healthy_at_zero(&scene, &seen).await?;
        }
        // A new revision at zero is switched to at once, and starts nothing either.
        let before = revision(&scene.api::<Function>().get("still").await?);
        scene.change_function("still", json!({"env": [{"name": "A", "value": "1"}]})).await?;
        let switched = scene.function_when("still", "switched", |f| revision(f) != before).await?;
        let switched_to = revision(&switched);
        let ready = scene.function_when("still", "Ready again", |f| e2e::scene::holds(f, ConditionType::Ready)).await?;
        ensure!(revision(&ready) == switched_to, "the revision went on from {switched_to} to {}", revision(&ready));
        healthy_at_zero(&scene, &ready).await?;
        no_pod_ever(&scene, &pods).await
    });
}

fn observed(function: &Function) -> i64 {
    function.status.as_ref().map_or(-1, |status| status.observed_generation)
}

fn revision(function: &Function) -> String {
    function.status.as_ref().map(|status| status.revision.clone()).unwrap_or_default()
}

async fn healthy_at_zero(scene: &Scene, function: &Function) -> Result<()> {
    let status = function.status.as_ref().context("no status")?;
    let active = condition::find(&status.conditions, ConditionType::Active).context("no condition Active")?;
    let reason = Reason::ScaledToZero.as_str();
    ensure!(active.status == "False" && active.reason == reason, "Active is {} {}", active.status, active.reason);
    let stalled = [ConditionType::Stalled, ConditionType::Reconciling];
    let stalled = stalled.into_iter().find(|kind| condition::is_true(&status.conditions, *kind));
    ensure!(stalled.is_none(), "a Ready function is {stalled:?} at the same time");
    let deployment = scene.api::<Deployment>().get(&status.revision).await?;
    let replicas = deployment.spec.and_then(|spec| spec.replicas);
    ensure!(replicas == Some(0), "the Deployment of {} has replicas {replicas:?}", function.name_any());
    Ok(())
}

/// By three witnesses: the watch, what controllers said they did, and the ReplicaSets' generation of a scale.
async fn no_pod_ever(scene: &Scene, pods: &Record<Pod>) -> Result<()> {
    ensure!(pods.names().is_empty(), "pods were started: {:?}", pods.names());
    let events = scene.api::<Event>().list(&ListParams::default()).await?;
    let made = events.iter().find(|e| e.reason.as_deref() == Some("SuccessfulCreate"));
    ensure!(made.is_none(), "a controller made a pod: {:?}", made.and_then(|e| e.message.as_ref()));
    for set in scene.api::<ReplicaSet>().list(&ListParams::default().labels(labels::FUNCTION)).await? {
        ensure!(set.metadata.generation == Some(1), "the ReplicaSet {} was scaled", set.name_any());
    }
    Ok(())
}
