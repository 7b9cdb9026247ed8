use std::time::Duration;

use crds::Reason;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::{
    failure::{
        judge::{Judgement, Revision, revision},
        memory::{Memory, Remembered},
    },
    testing::fixtures,
};

const LIMIT: Option<Duration> = Some(Duration::from_secs(10));

fn waiting(uid: &str, reason: &str) -> Pod {
    with(uid, json!({"containerStatuses": [fixtures::container(json!({"waiting": {"reason": reason}}))]}))
}

fn with(uid: &str, status: Value) -> Pod {
    let mut pod = fixtures::pod("hello-1", uid);
    json_patch::merge(&mut pod["status"], &status);
    serde_json::from_value(pod).unwrap()
}

fn lost(uid: &str) -> Pod {
    with(
        uid,
        json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}], "containerStatuses": []}),
    )
}

fn starting(uid: &str) -> Pod {
    waiting(uid, "ContainerCreating")
}

/// Judged when all pods have been known for `age`.
fn judged(pods: &[Pod], ready: Option<usize>, age: Duration, change: impl Fn(&mut Remembered)) -> Judgement {
    let memory = Memory::default();
    let first = Instant::now();
    let uids: Vec<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    let memory = memory.refresh("f", uids.iter().map(String::as_str), first, |_, memory| {
        memory.unschedulable_since = Some(first);
        change(memory);
    });
    let pods: Vec<&Pod> = pods.iter().collect();
    revision(Revision { deployment: None, pods: &pods, memory: &memory, ready }, LIMIT, first + age)
}

fn reason(judgement: &Judgement) -> Option<(Reason, Vec<&str>)> {
    let failed = judgement.failed.as_ref()?;
    Some((failed.failure.reason, failed.pod_uids.iter().map(String::as_str).collect()))
}

#[tokio::test(start_paused = true)]
async fn one_failed_pod_is_enough_unless_one_is_ready() {
    let now = Duration::ZERO;
    let pods = [starting("a"), waiting("b", "ErrImagePull")];
    assert_eq!(reason(&judged(&pods, Some(0), now, |_| {})), Some((Reason::ImagePullError, vec!["b"])));
    assert_eq!(reason(&judged(&pods, Some(1), now, |_| {})), None);
    // While nobody knows which are ready, all must have failed.
    assert_eq!(reason(&judged(&pods, None, now, |_| {})), None);
    assert_eq!(reason(&judged(&pods[1..], None, now, |_| {})), Some((Reason::ImagePullError, vec!["b"])));
}

#[tokio::test(start_paused = true)]
async fn no_node_must_take_any_pod_for_a_while() {
    let long = Duration::from_secs(10);
    let early = judged(&[lost("a")], Some(0), Duration::from_secs(4), |_| {});
    assert_eq!((reason(&early), early.again), (None, Some(Duration::from_secs(6))));
    assert_eq!(reason(&judged(&[lost("a")], Some(0), long, |_| {})), Some((Reason::Unschedulable, vec!["a"])));
    assert_eq!(reason(&judged(&[lost("a"), starting("b")], Some(0), long, |_| {})), None);
    let both = [lost("a"), waiting("b", "CrashLoopBackOff")];
    assert_eq!(reason(&judged(&both, Some(0), long, |_| {})), Some((Reason::CrashLoop, vec!["a", "b"])));
}

#[tokio::test(start_paused = true)]
async fn events_are_wanted_of_a_pod_that_waits_too_long() {
    let young = judged(&[starting("a")], Some(0), judge::EVENTS_AFTER / 3, |_| {});
    assert_eq!((young.read_events.len(), young.again), (0, Some(judge::EVENTS_AFTER - judge::EVENTS_AFTER / 3)));
    let old = judged(&[starting("a")], Some(0), judge::EVENTS_AFTER, |_| {});
    assert_eq!(old.read_events, ["a"]);
    let since = judge::EVENTS_EVERY / 3;
    let read = judged(&[starting("a")], Some(0), judge::EVENTS_AFTER + since, |memory| {
        memory.events_read = Some(memory.first_seen + judge::EVENTS_AFTER);
    });
    assert_eq!((read.read_events.len(), read.again), (0, Some(judge::EVENTS_EVERY - since)));
    let told = judged(&[starting("a")], Some(0), judge::EVENTS_AFTER, |memory| {
        memory.event = Some(Failure::new(Reason::SandboxError, "words"));
    });
    assert_eq!(reason(&told), Some((Reason::SandboxError, vec!["a"])));
    // One that has its volumes and its sandbox has no more to tell, nor one whose container runs.
    let mut prepared = starting("a");
    let conditions = &mut prepared.status.as_mut().unwrap().conditions;
    let condition = json!({"type": "PodReadyToStartContainers", "status": "True"});
    conditions.get_or_insert_default().push(serde_json::from_value(condition).unwrap());
    assert_eq!(judged(&[prepared], Some(0), judge::EVENTS_AFTER, |_| {}), Judgement::default());
    let running = with("a", json!({}));
    assert_eq!(judged(&[running], Some(0), Duration::from_secs(60), |_| {}), Judgement::default());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_counts_where_there_is_no_pod_and_one_is_wanted() {
    let deployment = |replicas: i32| -> Deployment {
        serde_json::from_value(
            json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas, "selector": {}, "template": {}},
            "status": {"observedGeneration": 2, "conditions": [
                {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]}}),
        )
        .unwrap()
    };
    let memory = HashMap::new();
    let of = |deployment: &Deployment, pods: &[&Pod]| {
        let view = Revision { deployment: Some(deployment), pods, memory: &memory, ready: Some(0) };
        revision(view, LIMIT, Instant::now()).failed.map(|failed| failed.failure.reason)
    };
    assert_eq!(of(&deployment(1), &[]), Some(Reason::PodsRefused));
    assert_eq!(of(&deployment(0), &[]), None);
    assert_eq!(of(&deployment(1), &[&starting("a")]), None);
}

#[tokio::test]
async fn a_change_of_verdicts_is_told_once() {
    let verdicts = Verdicts::default();
    let verdict = |revision: &str| Verdict {
        key: Key::new("hello").within("shop"),
        function_uid: "f".to_owned(),
        revision: revision.to_owned(),
        pod_uids: vec!["a".to_owned()],
        failure: Failure::new(Reason::CrashLoop, "words"),
        from_events: false,
        of_boost: false,
        terms: Terms::default(),
    };
    let changes = verdicts.changed();
    verdicts.replace("f", vec![verdict("r1")]);
    verdicts.replace("f", vec![verdict("r1")]);
    verdicts.replace("other", Vec::new());
    assert_eq!(*changes.borrow(), 1);
    assert_eq!(verdicts.of("f", "r1"), Some(verdict("r1")));
    assert_eq!(verdicts.of("g", "r1"), None);
    verdicts.replace("f", vec![verdict("r2")]);
    assert_eq!((verdicts.of("f", "r1"), verdicts.all()), (None, vec![verdict("r2")]));
    verdicts.clear();
    assert_eq!((*changes.borrow(), verdicts.all().len()), (3, 0));
}

#[tokio::test]
async fn memory_holds_no_more_than_there_is() {
    let memory = Memory::default();
    let now = Instant::now();
    memory.refresh("f", ["a", "b"], now, |uid, pod| pod.ever_ready = uid == "a");
    let known = memory.refresh("f", ["a"], now + Duration::from_secs(1), |_, _| {});
    assert_eq!((known.len(), known["a"].ever_ready, known["a"].first_seen), (1, true, now));
    let again = memory.refresh("f", ["b"], now + Duration::from_secs(2), |_, _| {});
    assert_eq!(again["b"].first_seen, now + Duration::from_secs(2));
    memory.read("f", "b", Some(Failure::new(Reason::SandboxError, "")), now);
    memory.read("f", "b", None, now);
    assert!(memory.refresh("f", ["b"], now, |_, _| {})["b"].event.is_some());
}
