//! Starts that fail: the held caller is told why, as soon as Kubernetes is; and once the cause is gone the next request is
//! served as if nothing had been.

use std::{
    env,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use crds::{ConditionType, Function, Reason, condition};
use e2e::{
    http::Answer,
    record::{Record, Seen},
    scene::{APP, PATIENCE, Scene, scene, tell, until},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStatus, Event, Pod, ResourceQuota},
};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::time::{sleep, sleep_until};

/// How soon after Kubernetes the caller must know: within two seconds, and this on a machine that is busy with other tests. Who
/// is not told waits for all of `coldStartSeconds`, a minute.
const SOON: Duration = Duration::from_secs(20);
/// Seconds for which the cause stays. Kubernetes' own back-offs grow to minutes in this time. For a quick look while at
/// work on Rouse: `ROUSE_E2E_CAUSE_SECONDS=5`.
const CAUSE_SECONDS: u64 = 120;

/// How often the function is called meanwhile.
const EVERY: Duration = Duration::from_secs(20);

/// One way to fail.
struct Case {
    spec: Value,
    reason: Reason,
    /// When Kubernetes said so.
    reported: fn(&Witness) -> Option<Instant>,
    /// What is added to that before it counts as a failure.
    grace: Duration,
}

/// Everything that Kubernetes says in the test's namespace.
struct Witness {
    pods: Record<Pod>,
    deployments: Record<Deployment>,
    events: Record<Event>,
}

impl Witness {
    fn pod(&self, says: impl Fn(&Pod) -> bool) -> Option<Instant> {
        self.pods.first(|seen| says(&seen.object)).map(|seen| seen.at)
    }

    fn waiting(&self, reasons: &[&str]) -> Option<Instant> {
        self.pod(|pod| {
            let waiting = container(pod).and_then(|c| c.state.as_ref()?.waiting.as_ref()?.reason.clone());
            waiting.is_some_and(|reason| reasons.contains(&reason.as_str()))
        })
    }
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn image_pull(witness: &Witness) -> Option<Instant> {
    witness.waiting(&["ErrImagePull", "ImagePullBackOff"])
}

fn cannot_run(witness: &Witness) -> Option<Instant> {
    witness.pod(|pod| {
        let state = container(pod).and_then(|c| c.state.as_ref());
        let ended = state.and_then(|s| s.terminated.as_ref()?.reason.as_deref());
        let waiting = state.and_then(|s| s.waiting.as_ref()?.reason.as_deref());
        ended == Some("StartError") || matches!(waiting, Some("RunContainerError" | "CrashLoopBackOff"))
    })
}

/// The second exit, or the kubelet's own word for it.
fn crashed(witness: &Witness) -> Option<Instant> {
    witness.pod(|pod| {
        let Some(container) = container(pod) else { return false };
        let state = container.state.as_ref();
        let ended = state.is_some_and(|s| s.terminated.is_some());
        let waiting = state.and_then(|s| s.waiting.as_ref()?.reason.as_deref());
        container.restart_count + i32::from(ended) >= 2 || waiting == Some("CrashLoopBackOff")
    })
}

fn config_error(witness: &Witness) -> Option<Instant> {
    witness.waiting(&["CreateContainerConfigError"])
}

fn unschedulable(witness: &Witness) -> Option<Instant> {
    witness.pod(|pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| c.reason.as_deref() == Some("Unschedulable") && c.status == "False")
    })
}

fn mount_failed(witness: &Witness) -> Option<Instant> {
    witness.events.first(|seen: &Seen<Event>| seen.object.reason.as_deref() == Some("FailedMount")).map(|seen| seen.at)
}

fn replica_failure(witness: &Witness) -> Option<Instant> {
    let failed = witness.deployments.first(|seen| {
        let conditions = seen.object.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| c.type_ == "ReplicaFailure" && c.status == "True")
    });
    failed.map(|seen| seen.at)
}

/// Runs a case to its end; `remove` takes the cause away.
async fn fails(scene: Scene, case: Case, remove: impl AsyncFnOnce(&Scene) -> Result<()>) -> Result<()> {
    let witness = Witness {
        pods: Record::start(scene.api(), "").await?,
        deployments: Record::start(scene.api(), "").await?,
        events: Record::start(scene.api(), "").await?,
    };
    scene.function("broken", case.spec.clone()).await?;
    let since = Instant::now();
    let answer = scene.get("broken", "/").await?;
    let answered = Instant::now();
    told(&answer, case.reason)?;
    // The same news may reach this watch a moment later than Rouse's.
    let reported = until("Kubernetes' word for it", PATIENCE, async || Ok((case.reported)(&witness))).await?;
    let late = answered.saturating_duration_since(reported);
    tell(format_args!("{}: reported after {:.1?}, told {late:.1?} later", case.reason, reported - since));
    ensure!(late <= case.grace + SOON, "Kubernetes said it {late:?} before the caller was told");
    shown(&scene, case.reason).await?;

    let seconds = env::var("ROUSE_E2E_CAUSE_SECONDS").ok().map(|s| s.parse()).transpose()?.unwrap_or(CAUSE_SECONDS);
    let end = Instant::now() + Duration::from_secs(seconds);
    // Callers go on calling, each with a start of its own, and each is told. Not up to the last moment: what is said of
    // the cause while it is being removed is nobody's fault.
    while Instant::now() + EVERY * 2 < end {
        sleep(EVERY).await;
        told(&scene.get("broken", "/").await?, case.reason)?;
    }
    sleep_until(end.into()).await;
    // A slow machine may still be busy with the last caller's start.
    at_zero(&scene).await?;
    let before = witness.pods.names();
    remove(&scene).await?;
    let begin = Instant::now();
    let answer = scene.get("broken", "/").await?;
    let took = begin.elapsed();
    ensure!(answer.status == 200, "with the cause gone: {} {}", answer.status, answer.text());
    tell(format_args!("{}: served {took:.1?} after the cause was gone", case.reason));
    // A start afresh: a pod of before would first wait out a back-off of over a minute.
    let served = answer.text();
    let pod = served.trim_end().strip_prefix("hello from ").unwrap_or_default();
    ensure!(!pod.is_empty() && !before.contains(pod), "answered by a pod of before: {served}");
    scene.function_when("broken", "Ready again", |f| e2e::scene::holds(f, ConditionType::Ready)).await?;
    Ok(())
}

/// The caller's side.
fn told(answer: &Answer, reason: Reason) -> Result<()> {
    let problem = answer.problem(503)?;
    ensure!(problem["reason"] == reason.as_str(), "the caller is told {problem}, not {reason}");
    ensure!(problem["type"].as_str().is_some_and(|kind| kind.ends_with("/start-failed")), "{problem}");
    ensure!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 30), "no word about why: {problem}");
    ensure!(answer.header("retry-after").is_some(), "no Retry-After");
    let leaks = ["rouse-node", "10.244."].into_iter().find(|inner| answer.text().contains(inner));
    ensure!(leaks.is_none(), "the caller learns of {leaks:?}: {problem}");
    Ok(())
}

/// The owner's side, in `kubectl get` and `kubectl describe`; and back at zero, so that the next request starts afresh.
async fn shown(scene: &Scene, reason: Reason) -> Result<()> {
    let says = |f: &Function| {
        let conditions = f.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
        let is = |kind| {
            condition::find(conditions, kind).is_some_and(|c| c.status == "False" && c.reason == reason.as_str())
        };
        is(ConditionType::WorkloadAvailable) && is(ConditionType::Ready)
    };
    scene.function_when("broken", "said to be broken", says).await?;
    let line = scene.kubectl(&["get", "rfn", "broken", "-o", "wide", "--no-headers"], "")?;
    ensure!(line.contains(reason.as_str()), "`kubectl get rfn -o wide` does not say {reason}: {line}");
    until("an event in `kubectl describe`", PATIENCE, async || {
        let told = scene.kubectl(&["describe", "rfn", "broken"], "")?;
        let (object, events) = told.split_once("\nEvents:").unwrap_or((&told, ""));
        Ok((object.contains(reason.as_str()) && events.contains("StartFailed")).then_some(()))
    })
    .await?;
    at_zero(scene).await
}

async fn at_zero(scene: &Scene) -> Result<()> {
    until("back at zero", PATIENCE, async || Ok((scene.replicas("broken").await? == 0).then_some(()))).await
}

/// Changes the Function, and waits until the operator has taken it over: what `kubectl apply` and `kubectl wait` do.
async fn corrected(scene: &Scene, spec: Value) -> Result<()> {
    let changed = scene.change_function("broken", spec).await?;
    let generation = changed.metadata.generation.unwrap_or_default();
    let taken = |f: &Function| f.status.as_ref().is_some_and(|s| s.observed_generation >= generation);
    scene.function_when("broken", "taken over", taken).await?;
    Ok(())
}

#[test]
fn an_image_that_cannot_be_pulled() {
    scene("image", |scene| async move {
        let spec = json!({"image": "127.0.0.1:1/x"});
        let case = Case { spec, reason: Reason::ImagePullError, reported: image_pull, grace: Duration::ZERO };
        fails(scene, case, async |scene| corrected(scene, json!({"image": APP})).await).await
    });
}

#[test]
fn a_command_that_does_not_exist() {
    scene("command", |scene| async move {
        let spec = json!({"command": ["/no/such/program"]});
        let case = Case { spec, reason: Reason::ContainerStartError, reported: cannot_run, grace: Duration::ZERO };
        fails(scene, case, async |scene| corrected(scene, json!({"command": null})).await).await
    });
}

#[test]
fn a_program_that_crashes_on_start() {
    scene("crash", |scene| async move {
        let spec = json!({"env": [{"name": "CRASH", "value": "start"}]});
        let case = Case { spec, reason: Reason::CrashLoop, reported: crashed, grace: Duration::ZERO };
        fails(scene, case, async |scene| corrected(scene, json!({"env": null})).await).await
    });
}

#[test]
fn a_quota_that_leaves_no_room() {
    scene("quota", |scene| async move {
        scene.quota("none", json!({"pods": "0"})).await?;
        let case =
            Case { spec: json!({}), reason: Reason::PodsRefused, reported: replica_failure, grace: Duration::ZERO };
        // The Function stays as it is.
        fails(scene, case, async |scene| {
            scene.api::<ResourceQuota>().delete("none", &DeleteParams::default()).await?;
            Ok(())
        })
        .await
    });
}

#[test]
fn a_secret_that_is_missing() {
    scene("secret", |scene| async move {
        let spec = json!({"envFrom": [{"secretRef": {"name": "keys"}}]});
        let case = Case { spec, reason: Reason::ContainerConfigError, reported: config_error, grace: Duration::ZERO };
        fails(scene, case, async |scene| {
            let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"},
                "stringData": {"KEY": "open"}});
            scene.create(secret).await.map(drop)
        })
        .await
    });
}

#[test]
fn a_config_map_volume_that_is_missing() {
    scene("volume", |scene| async move {
        let spec = json!({"mounts": [{"path": "/etc/settings", "configMap": {"name": "settings"}}]});
        let case = Case { spec, reason: Reason::VolumeMountError, reported: mount_failed, grace: Duration::ZERO };
        fails(scene, case, async |scene| {
            let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"},
                "data": {"a": "1"}});
            scene.create(map).await.map(drop)
        })
        .await
    });
}

#[test]
fn more_memory_than_any_node_has() {
    scene("memory", |scene| async move {
        let spec = json!({"resources": {"memory": "1Ti", "cpu": "10m"}});
        // `scaling.unschedulableSeconds` of the chart: a cluster may be about to add a node.
        let grace = Duration::from_secs(10);
        let case = Case { spec, reason: Reason::Unschedulable, reported: unschedulable, grace };
        fails(scene, case, async |scene| corrected(scene, json!({"resources": {"memory": "64Mi"}})).await).await
    });
}
