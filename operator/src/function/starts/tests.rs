//! Starts that only Events explain.

use serde_json::{Value, json};
use tokio::time::advance;

use super::*;
use crate::{
    function::{Pass, status::LAZY},
    testing::{
        World,
        fixtures::{UID, container, function, pod, valid},
    },
};
use crds::Reason;

/// A pod that a node has and whose container was never made.
fn stuck(revision: &str, uid: &str) -> Value {
    let mut pod = pod(revision, uid);
    pod["status"]["phase"] = json!("Pending");
    pod["status"]["containerStatuses"] = json!([container(json!({"waiting": {"reason": "ContainerCreating"}}))]);
    pod
}

async fn starting(pods: impl IntoIterator<Item = Value>) -> (World, String) {
    let revision = valid(json!({})).revision;
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.settle("hello").await;
    world.api.change("deployments", &revision, &json!({"spec": {"replicas": 1}}));
    for pod in pods {
        world.api.put("pods", pod);
    }
    world.sync();
    (world, revision)
}

fn event(pod: &str, reason: &str, message: &str, at: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{pod}.{at}"), "namespace": "shop"},
        "involvedObject": {"uid": pod}, "reason": reason, "message": message, "lastTimestamp": at})
}

#[tokio::test(start_paused = true)]
async fn events_are_read_of_a_pod_that_takes_long_to_start() {
    let revision = valid(json!({})).revision;
    let (world, _) = starting([stuck(&revision, "p1")]).await;
    world.api.news();
    world.pass("hello").await.unwrap();
    advance(LAZY).await;
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(Some(judge::EVENTS_AFTER - LAZY)));
    assert_eq!(world.api.news(), ["patch functions hello status"]);

    // Nothing is said yet, or only of another pod.
    world.api.put("events", event("p2", "FailedMount", "of another pod", "2026-01-02T03:04:05Z"));
    world.api.put("events", event("p1", "Scheduled", "fine", "2026-01-02T03:04:05Z"));
    advance(judge::EVENTS_AFTER - LAZY).await;
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(Some(judge::EVENTS_EVERY)));
    assert_eq!(world.api.news(), ["list events"]);
    assert_eq!(world.cx.verdicts.all(), []);

    world.api.put("events", event("p1", "FailedMount", "secret \"s\" not found", "2026-01-02T03:04:07Z"));
    advance(judge::EVENTS_EVERY).await;
    world.pass("hello").await.unwrap();
    let verdict = world.cx.verdicts.of(UID, &revision).unwrap();
    assert_eq!((verdict.failure.reason, verdict.from_events), (Reason::VolumeMountError, true));
    assert_eq!(verdict.pod_uids, ["p1"]);
    assert!(verdict.failure.message.contains("secret \"s\" not found"), "{}", verdict.failure.message);
    assert_eq!(world.api.news(), ["list events", "patch functions hello status"]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_start_together_share_what_was_read() {
    let world = World::new();
    let client = &world.cx.client;
    let reader = crate::failure::events::Reader::default();
    world.api.put("events", event("p1", "FailedMount", "secret \"s\" not found", "2026-01-02T03:04:07Z"));
    world.api.put("events", event("p2", "FailedCreatePodSandBox", "no address", "2026-01-02T03:04:07Z"));
    world.api.put("events", event("p2", "FailedMount", "of earlier", "2026-01-02T03:04:06Z"));
    let said = async |pod| reader.of_pod(client, "shop", pod).await.unwrap().map(|failure| failure.reason);
    assert_eq!(said("p1").await, Some(Reason::VolumeMountError));
    assert_eq!(said("p2").await, Some(Reason::SandboxError));
    assert_eq!(said("p3").await, None);
    assert_eq!(world.api.news(), ["list events"]);
    world.api.put("events", event("p3", "FailedMount", "too", "2026-01-02T03:04:08Z"));
    advance(Duration::from_millis(500)).await;
    let at_once = tokio::join!(said("p3"), said("p1"));
    assert_eq!(at_once, (Some(Reason::VolumeMountError), Some(Reason::VolumeMountError)));
    assert_eq!(world.api.news(), ["list events"]);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_no_node_takes_fails_after_a_while() {
    let revision = valid(json!({})).revision;
    let mut lost = pod(&revision, "p1");
    lost["status"] = json!({"phase": "Pending", "conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available"}]});
    let (world, _) = starting([lost]).await;
    world.pass("hello").await.unwrap();
    advance(Duration::from_secs(9)).await;
    world.pass("hello").await.unwrap();
    assert_eq!(world.cx.verdicts.all(), []);
    advance(Duration::from_secs(1)).await;
    world.pass("hello").await.unwrap();
    assert_eq!(world.cx.verdicts.of(UID, &revision).unwrap().failure.reason, Reason::Unschedulable);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_was_ready_once_may_crash() {
    let revision = valid(json!({})).revision;
    let (mut world, _) = starting([pod(&revision, "p1")]).await;
    world.probed("p1", true);
    world.settle("hello").await;
    let mut crashed = pod(&revision, "p1");
    crashed["status"]["containerStatuses"] = json!([container(json!({"terminated": {"exitCode": 1}}))]);
    crashed["status"]["containerStatuses"][0]["restartCount"] = json!(3);
    world.api.put("pods", crashed);
    world.probed("p1", false);
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.cx.verdicts.all(), []);
}

#[tokio::test(start_paused = true)]
async fn while_no_activator_is_heard_it_is_looked_again() {
    let revision = valid(json!({})).revision;
    let (world, _) = starting([pod(&revision, "p1")]).await;
    *world.probes.0.lock().unwrap() = None;
    advance(LAZY).await;
    world.pass("hello").await.unwrap();
    advance(LAZY).await;
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(Some(UNKNOWN)));
}
