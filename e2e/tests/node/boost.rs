//! Start-up boost: a function with a CPU limit starts with a higher one and gets its own, without a restart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use crds::{Reason, labels};
use e2e::{
    http,
    record::Record,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use serde_json::{Value, json};

/// What the functions here ask for. They stay awake, however long a busy node takes over a step.
fn limited() -> Value {
    json!({"resources": {"memory": "32Mi", "cpu": "10m", "cpuLimit": "100m"}, "scaling": {"windowSeconds": 3600}})
}

/// The CPU limit that a pod's spec asks for.
fn asked(pod: &Pod) -> Option<String> {
    let container = pod.spec.as_ref()?.containers.first()?;
    Some(container.resources.as_ref()?.limits.as_ref()?.get("cpu")?.0.clone())
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

/// The CPU limit in force: what the kubelet reads back from the container's cgroup.
fn in_force(pod: &Pod) -> Option<String> {
    Some(container(pod)?.resources.as_ref()?.limits.as_ref()?.get("cpu")?.0.clone())
}

/// Waits until the function's one pod has its own limit in force.
async fn resized(scene: &Scene, function: &str) -> Result<Pod> {
    until("the pod's own CPU limit is in force", PATIENCE * 2, async || {
        let pods = scene.pods(function).await?;
        ensure!(pods.len() == 1, "{} pods", pods.len());
        let done = asked(&pods[0]).as_deref() == Some("100m") && in_force(&pods[0]).as_deref() == Some("100m");
        Ok(done.then(|| pods[0].clone()))
    })
    .await
}

#[test]
fn a_started_pod_gets_its_own_limit_without_a_restart() {
    scene("boost", |scene| async move {
        let record = Record::<Pod>::start(scene.api(), &format!("{}=boost", labels::FUNCTION)).await?;
        scene.function("boost", limited()).await?;
        let answer = scene.get("boost", "/").await?;
        ensure!(answer.status == 200, "answered {}", answer.status);
        let answered = Instant::now();
        let pod = resized(&scene, "boost").await?;
        tell(format_args!("own limit in force {:.0?} after the first answer", answered.elapsed()));
        let status = container(&pod).context("a pod without a container")?;
        ensure!(status.restart_count == 0, "the container was restarted {} times", status.restart_count);
        let first = record.first(|_| true).map(|seen| (seen.object.name_any(), asked(&seen.object)));
        ensure!(first == Some((pod.name_any(), Some("1".to_owned()))), "the pod began as {first:?}");

        // Another start of the container in this pod has the own limit from the beginning, and is left alone.
        // By a method that is not sent again: each further crash would only make the kubelet wait longer.
        let crash = http::post(scene.entry, &scene.host("boost"), "/crash", Bytes::new(), PATIENCE).await?;
        ensure!(crash.status == 502, "the crash is answered {}", crash.status);
        until("the container runs again", PATIENCE * 2, async || {
            let pods = scene.pods("boost").await?;
            let pod = pods.first().context("the pod is gone")?;
            let again = container(pod).is_some_and(|status| status.restart_count == 1 && status.started == Some(true));
            Ok((again && in_force(pod).as_deref() == Some("100m")).then_some(()))
        })
        .await?;

        // And the next start from zero is boosted again.
        scene.change_function("boost", json!({"scaling": {"windowSeconds": 6}})).await?;
        scene.at_zero("boost").await?;
        scene.change_function("boost", json!({"scaling": {"windowSeconds": 3600}})).await?;
        ensure!(scene.get("boost", "/").await?.status == 200, "the second start does not answer");
        let second = resized(&scene, "boost").await?;
        ensure!(second.name_any() != pod.name_any(), "it is the same pod");
        let first = record.first(|seen| seen.object.name_any() == second.name_any()).context("it was never seen")?;
        ensure!(asked(&first.object).as_deref() == Some("1"), "the second pod began with {:?}", asked(&first.object));
        Ok(())
    });
}

#[test]
fn many_pods_are_all_resized() {
    scene("boosts", |scene| async move {
        let mut spec = limited();
        spec["scaling"]["minReplicas"] = json!(5);
        scene.apply_function("boosts", spec).await?;
        until("five pods with their own limit", PATIENCE * 2, async || {
            let pods = scene.pods("boosts").await?;
            let done = pods.iter().filter(|pod| in_force(pod).as_deref() == Some("100m")).count();
            let restarts: i32 = pods.iter().filter_map(|pod| Some(container(pod)?.restart_count)).sum();
            ensure!(restarts == 0, "{restarts} restarts");
            Ok((done == 5 && pods.len() == 5).then_some(()))
        })
        .await
    });
}

#[test]
fn a_function_without_a_limit_is_never_resized() {
    scene("unboosted", |scene| async move {
        let record = Record::<Pod>::start(scene.api(), "").await?;
        scene.function("free", json!({})).await?;
        ensure!(scene.get("free", "/").await?.status == 200, "the function does not answer");
        scene.function("limited", limited()).await?;
        ensure!(scene.get("limited", "/").await?.status == 200, "the function does not answer");
        // Whoever resizes the one would have resized the other by then.
        resized(&scene, "limited").await?;
        let free = record.all(|seen| seen.object.labels().get(labels::FUNCTION).is_some_and(|name| name == "free"));
        ensure!(!free.is_empty() && free.iter().all(|seen| asked(&seen.object).is_none()), "it has a CPU limit");
        ensure!(free.iter().all(|s| !s.object.annotations().contains_key(labels::CPU_LIMIT)), "it has an annotation");
        Ok(())
    });
}

/// The quota has room for the function's own limit and not for the one of its start: the first start fails and says why,
/// and the next one is served.
#[test]
fn a_quota_without_room_for_the_boost_costs_one_start() {
    scene("boost-quota", |scene| async move {
        scene.quota("small", json!({"limits.cpu": "500m"})).await?;
        scene.function("small", limited()).await?;
        let problem = scene.get("small", "/").await?.problem(503)?;
        ensure!(problem["reason"] == Reason::PodsRefused.as_str(), "another reason: {problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("CPU limit of 1000m by the start-up boost"), "it does not say why: {detail}");
        until("an answer without a boost", PATIENCE, async || {
            let answer = scene.get("small", "/").await?;
            ensure!(answer.status == 200 || answer.status == 503, "{} {}", answer.status, answer.text());
            tokio::time::sleep(Duration::from_millis(200)).await;
            Ok((answer.status == 200).then_some(()))
        })
        .await?;
        let pods = scene.pods("small").await?;
        ensure!(pods.len() == 1 && asked(&pods[0]).as_deref() == Some("100m"), "it is not without a boost");
        Ok(())
    });
}
