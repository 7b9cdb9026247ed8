//! What a Function's scaling says is done: paused, by hand, never fewer than, never more than.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Reason, condition};
use e2e::{
    audit,
    http::streaming::Begun,
    record::{Record, Seen},
    scene::{PATIENCE, Scene, scene, tell, until},
};
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::{Value, json};

/// A refusal "at once" has not waited for so long, even on a machine that is busy with other tests: who waits for a pod that
/// nobody starts waits for `coldStartSeconds`, a minute.
const AT_ONCE_MS: u64 = 10_000;

async fn refused(scene: &Scene) -> Result<()> {
    let begin = Instant::now();
    let answer = scene.get("paused", "/").await?;
    let took = begin.elapsed();
    let problem = answer.problem(503)?;
    ensure!(problem["reason"] == "Paused", "refused for another reason: {problem}");
    ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    tell(format_args!("paused: 503 after {took:.1?}"));
    ensure!(problem["waitedMs"].as_u64().is_some_and(|ms| ms < AT_ONCE_MS), "a refusal that waited: {problem}");
    ensure!(answer.header("rouse-cold-start") == Some("false"), "a refusal that waited: {:?}", answer.headers);
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
        let slow = Begun::events(scene.entry, &scene.host("paused"), 30, PATIENCE).await?;
        let slow = tokio::spawn(slow.end(PATIENCE * 2));
        scene.change_function("paused", json!({"scaling": {"mode": "Paused"}})).await?;
        // Who comes meanwhile is not let in again and again, which would keep it from going.
        until("a refusal", PATIENCE, async || Ok((scene.get("paused", "/").await?.status == 503).then_some(())))
            .await?;
        ensure!(!slow.is_finished(), "requests were let in until nothing was in flight");
        for _ in 0..10 {
            refused(&scene).await?;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        slow.await?.context("a request in flight when the pause came")?;
        scene.at_zero("paused").await?;
        refused(&scene).await
    });
}

#[test]
fn min_replicas_run_without_a_request_and_stay() {
    scene("minimum", |scene| async move {
        scene.function("min", json!({"scaling": {"minReplicas": 2, "windowSeconds": 6}})).await?;
        running(&scene, "min", 2).await?;
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
        running(&scene, "min", 3).await?;
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
        let three = |seen: &Seen<Deployment>| seen.object.spec.as_ref().and_then(|spec| spec.replicas) == Some(3);
        deployments.until("three replicas", PATIENCE, three).await?;
        let wanted = deployments.all(|_| true).into_iter().filter_map(|s| s.object.spec.and_then(|s| s.replicas)).max();
        ensure!(wanted == Some(3), "12 requests at a target of 1 and at most 3 replicas made {wanted:?}");
        Ok(())
    });
}

/// Waits for so many running pods of a function, and no others.
async fn running(scene: &Scene, function: &str, wanted: usize) -> Result<()> {
    until("the pods running", PATIENCE * 2, async || {
        let pods = scene.pods(function).await?;
        let running = pods.iter().filter(|pod| {
            pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running") && s.pod_ip.is_some())
        });
        Ok((running.count() == wanted && pods.len() == wanted).then_some(()))
    })
    .await
    .with_context(|| format!("{wanted} pods of {function}"))
}

fn ready_because(function: &crds::Function, reason: Reason) -> bool {
    let conditions = function.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    condition::find(conditions, ConditionType::Ready).is_some_and(|c| c.reason == reason.as_str())
}

#[test]
fn kubectl_scale_sets_the_number_and_nobody_else_does() {
    scene("manual", |scene| async move {
        let spec = json!({"scaling": {"mode": "Manual", "windowSeconds": 6, "minReplicas": 3}});
        scene.apply_function("manual", spec).await?;
        let zero = |f: &crds::Function| ready_because(f, Reason::ScaledToZeroByHand);
        scene.function_when("manual", "at zero by hand", zero).await?;
        let problem = scene.get("manual", "/").await?.problem(503)?;
        ensure!(problem["reason"] == "ScaledToZeroByHand", "refused for another reason: {problem}");
        ensure!(problem["waitedMs"].as_u64().is_some_and(|ms| ms < AT_ONCE_MS), "a refusal that waited: {problem}");
        ensure!(scene.pods("manual").await?.is_empty(), "a request started a pod");

        scene.kubectl(&["scale", "function/manual", "--replicas=2"], "")?;
        running(&scene, "manual", 2).await?;
        ensure!(scene.get("manual", "/").await?.status == 200, "no answer at two replicas");
        let two = |f: &crds::Function| f.status.as_ref().is_some_and(|s| s.replicas == 2);
        scene.function_when("manual", "at two", two).await?;
        // What an HPA reads.
        let path = format!("/apis/rouse.dev/v1alpha1/namespaces/{}/functions/manual/scale", scene.namespace);
        let scale: Value = serde_json::from_str(&scene.kubectl(&["get", "--raw", &path], "")?)?;
        ensure!(scale["spec"]["replicas"] == 2 && scale["status"]["replicas"] == 2, "{scale}");
        let selector = scale["status"]["selector"].as_str().context("no selector")?.to_owned();
        let chosen = scene.kubectl(&["get", "pods", "-o", "name", "-l", &selector], "")?;
        ensure!(chosen.lines().count() == 2, "{selector} chooses {chosen}");
        // Two idle windows and some.
        tokio::time::sleep(Duration::from_secs(15)).await;
        running(&scene, "manual", 2).await.context("after two idle windows")?;

        let slow = Begun::events(scene.entry, &scene.host("manual"), 15, PATIENCE).await?;
        scene.kubectl(&["scale", "function/manual", "--replicas=0"], "")?;
        slow.end(PATIENCE).await.context("a request in flight while it was scaled to 0")?;
        scene.at_zero("manual").await?;
        ensure!(scene.get("manual", "/").await?.status == 503, "an answer at zero");
        let scalings = audit::scalings(&scene.cluster, &scene.namespace)?;
        let by_activator: Vec<_> = scalings.iter().filter(|s| s.by_activator()).collect();
        ensure!(by_activator.is_empty(), "an activator scaled a function of mode Manual: {by_activator:?}");

        scene.change_function("manual", json!({"scaling": {"mode": "Auto", "minReplicas": 0}})).await?;
        until("an answer in mode Auto", PATIENCE, async || {
            Ok((scene.get("manual", "/").await?.status == 200).then_some(()))
        })
        .await?;
        // The number is not read in Auto.
        scene.kubectl(&["scale", "function/manual", "--replicas=4"], "")?;
        scene.at_zero("manual").await.context("with replicas at 4 in mode Auto")
    });
}

/// It needs no metrics: outside its own bounds an HPA sets the nearer one before it asks for any.
#[test]
fn an_hpa_that_targets_the_function_sizes_it() {
    scene("hpa", |scene| async move {
        scene.function("scaled", json!({"scaling": {"mode": "Manual", "replicas": 1, "windowSeconds": 6}})).await?;
        running(&scene, "scaled", 1).await?;
        scene
            .create(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "scaled"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "name": "scaled"},
                    "minReplicas": 3, "maxReplicas": 4,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
                },
            }))
            .await?;
        let at = |replicas: i32| move |f: &crds::Function| f.spec.scaling.replicas == replicas;
        scene.function_when("scaled", "at the HPA's least", at(3)).await?;
        running(&scene, "scaled", 3).await?;
        let bounds = r#"{"spec":{"minReplicas":1,"maxReplicas":2}}"#;
        scene.kubectl(&["patch", "hpa/scaled", "--type=merge", "-p", bounds], "")?;
        scene.function_when("scaled", "at the HPA's most", at(2)).await?;
        running(&scene, "scaled", 2).await
    });
}

fn degraded(function: &crds::Function) -> Option<(String, String)> {
    let conditions = function.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    condition::find(conditions, ConditionType::Degraded).map(|c| (c.reason.clone(), c.message.clone()))
}

/// It fights over the number, which is why it is told of: who wins at the end is not the point.
#[test]
fn an_hpa_that_targets_the_deployment_is_told_of() {
    scene("foreign", |scene| async move {
        let function = scene.function("owned", json!({"scaling": {"minReplicas": 1, "windowSeconds": 6}})).await?;
        running(&scene, "owned", 1).await?;
        ensure!(degraded(&function).is_none(), "degraded before there was an HPA: {:?}", degraded(&function));
        let revision = function.status.unwrap_or_default().revision;
        scene
            .create(json!({
                "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "foreign"},
                "spec": {
                    "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": revision},
                    "minReplicas": 3, "maxReplicas": 4,
                    "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
                },
            }))
            .await?;
        let told = |f: &crds::Function| degraded(f).is_some_and(|(reason, _)| reason == Reason::ForeignScaler.as_str());
        let function = scene.function_when("owned", "told to have a foreign scaler", told).await?;
        let (_, message) = degraded(&function).unwrap_or_default();
        for word in ["HorizontalPodAutoscaler", &revision, "Function owned", "spec.scaling.mode: Manual"] {
            ensure!(message.contains(word), "{word:?} is not in: {message}");
        }
        until("an event in `kubectl describe`", PATIENCE, async || {
            let described = scene.kubectl(&["describe", "function/owned"], "")?;
            let events = described.split_once("\nEvents:").map(|(_, events)| events.to_owned()).unwrap_or_default();
            Ok(events.contains("ForeignScaler").then_some(()))
        })
        .await?;
        ensure!(scene.get("owned", "/").await?.status == 200, "the function does not answer");
        Ok(())
    });
}

/// The window begins at the next full minute but one, so that the function is set up by then.
#[test]
fn a_schedule_keeps_a_function_warm_for_its_window_and_a_wrong_one_is_told() {
    scene("schedule", |scene| async move {
        let now = Timestamp::now().as_second();
        let begins = (now / 60 + if now % 60 < 30 { 1 } else { 2 }) * 60;
        // Long enough that its pods run in it, however long a busy machine takes to start them.
        let lasts = 150;
        let minute = begins / 60 % 60;
        let schedules = json!([
            {"cron": format!("{minute} * * * *"), "timeZone": "Europe/Berlin", "durationSeconds": lasts, "minReplicas": 2},
            {"cron": "0 8 * * *", "timeZone": "Europe/Nowhere", "durationSeconds": 60, "minReplicas": 1},
        ]);
        let function = scene.function("warm", json!({"scaling": {"windowSeconds": 6, "schedules": schedules}})).await?;
        let (reason, message) = degraded(&function).context("the wrong schedule is not told")?;
        ensure!(reason == Reason::InvalidSchedule.as_str() && message.contains("schedules[1]"), "{reason}: {message}");
        ensure!(message.contains("Europe/Nowhere"), "{message}");
        ensure!(scene.pods("warm").await?.is_empty(), "pods before the window");
        until("the pods of the window", 3 * PATIENCE, async || {
            let pods = scene.pods("warm").await?;
            Ok((pods.len() == 2).then_some(()))
        })
        .await?;
        let late = Timestamp::now().as_second() - begins;
        tell(format_args!("a window's pods exist {late} s after its begin"));
        ensure!(late >= 0, "{} s too early", -late);
        running(&scene, "warm", 2).await?;
        // A pod that runs does not listen yet.
        until("a warm answer", PATIENCE, async || {
            let answer = scene.get("warm", "/").await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
            Ok((answer.header("rouse-cold-start") == Some("false")).then_some(()))
        })
        .await?;
        until("no pod after the window", 5 * PATIENCE, async || {
            Ok((scene.pods_to_the_last("warm").await?.is_empty() && scene.replicas("warm").await? == 0).then_some(()))
        })
        .await?;
        let early = begins + lasts - Timestamp::now().as_second();
        ensure!(early <= 0, "at zero {early} s before the end of the window");
        Ok(())
    });
}
