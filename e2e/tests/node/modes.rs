//! What a Function's scaling says is done: paused, never fewer than, never more than.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Reason, condition};
use e2e::{
    record::Record,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use futures::future::join_all;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::json;

async fn refused(scene: &Scene) -> Result<()> {
    let begin = Instant::now();
    let answer = scene.get("paused", "/").await?;
    let took = begin.elapsed();
    let problem = answer.problem(503)?;
    ensure!(problem["reason"] == "Paused", "refused for another reason: {problem}");
    ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    tell(format_args!("paused: 503 after {took:.1?}"));
    // At once: it does not wait for a pod, which takes longer than this.
    ensure!(problem["waitedMs"].as_u64() < Some(100), "a refusal that waited: {problem}");
    Ok(())
}

#[test]
fn a_paused_function_refuses_at_once_and_starts_nothing() {
    scene("paused", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        scene.apply_function("paused", json!({"scaling": {"mode": "Paused"}})).await?;
        let paused = |f: &crds::Function| {
            let conditions = f.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
            condition::find(conditions, ConditionType::Active).is_some_and(|c| c.reason == Reason::Paused.as_str())
                || condition::find(conditions, ConditionType::Ready)
                    .is_some_and(|c| c.reason == Reason::Paused.as_str())
        };
        scene.function_when("paused", "Paused", paused).await?;
        refused(&scene).await?;
        ensure!(pods.names().is_empty(), "a paused function started {:?}", pods.names());

        scene.change_function("paused", json!({"scaling": {"mode": "Auto"}})).await?;
        until("an answer after the pause", PATIENCE, async || {
            let answer = scene.get("paused", "/").await?;
            ensure!(answer.status == 200 || answer.status == 503, "{} {}", answer.status, answer.text());
            Ok((answer.status == 200).then_some(()))
        })
        .await
    });
}

#[test]
fn a_running_function_that_is_paused_ends_what_it_has_begun_and_goes() {
    scene("pausing", |scene| async move {
        scene.function("paused", json!({"scaling": {"windowSeconds": 3600}})).await?;
        ensure!(scene.get("paused", "/").await?.status == 200, "the function does not answer");
        let (slow, paused) = tokio::join!(scene.get("paused", "/sleep?ms=6000"), async {
            // The request is on its way to the pod before the pause.
            tokio::time::sleep(Duration::from_secs(1)).await;
            scene.change_function("paused", json!({"scaling": {"mode": "Paused"}})).await
        });
        paused?;
        let slow = slow?;
        ensure!(slow.status == 200, "a request in flight when the pause came: {} {}", slow.status, slow.text());
        scene.at_zero("paused").await?;
        refused(&scene).await
    });
}

#[test]
fn min_replicas_run_without_a_request_and_stay() {
    scene("minimum", |scene| async move {
        scene.function("min", json!({"scaling": {"minReplicas": 2, "windowSeconds": 6}})).await?;
        let running = |wanted: usize| {
            let scene = &scene;
            until("the pods running", PATIENCE, async move || {
                let pods = scene.pods("min").await?;
                let running = pods.iter().filter(|pod| {
                    pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running") && s.pod_ip.is_some())
                });
                Ok((running.count() == wanted && pods.len() == wanted).then_some(()))
            })
        };
        running(2).await?;
        let warm = until("a warm answer", PATIENCE, async || {
            let answer = scene.get("min", "/").await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            Ok((answer.header("rouse-cold-start") == Some("false")).then_some(()))
        });
        warm.await?;
        let deployments = Record::<Deployment>::start(scene.api(), "").await?;
        // Two idle windows and some: whatever is going to lower it has done so by then.
        tokio::time::sleep(Duration::from_secs(15)).await;
        let fewer = deployments.first(|seen| seen.object.spec.as_ref().and_then(|s| s.replicas) < Some(2));
        ensure!(fewer.is_none(), "an idle function went below its minReplicas");
        scene.change_function("min", json!({"scaling": {"minReplicas": 3}})).await?;
        running(3).await?;
        scene.change_function("min", json!({"scaling": {"minReplicas": 0}})).await?;
        scene.at_zero("min").await.context("with minReplicas back at 0")
    });
}

#[test]
fn max_replicas_are_never_passed() {
    scene("maximum", |scene| async move {
        let spec = json!({"scaling": {"target": 1, "targetUtilizationPercent": 100, "maxReplicas": 3}});
        scene.function("max", spec).await?;
        let deployments = Record::<Deployment>::start(scene.api(), "").await?;
        let answers = join_all((0..12).map(|_| scene.get("max", "/sleep?ms=300"))).await;
        for answer in answers {
            let answer = answer?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        }
        let wanted = deployments.all(|_| true).into_iter().filter_map(|s| s.object.spec.and_then(|s| s.replicas)).max();
        ensure!(wanted == Some(3), "12 requests at a target of 1 and at most 3 replicas made {wanted:?}");
        Ok(())
    });
}
