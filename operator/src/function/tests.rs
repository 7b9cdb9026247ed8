//! Whole passes against an API server that writes every request down.

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

#[tokio::test(start_paused = true)]
async fn a_new_function_is_created_at_zero_and_ready_in_one_pass() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.sync();
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(None));
    let name = revision_of(json!({}));
    assert_eq!(
        world.api.news(),
        [
            "create services hello".to_owned(),
            "create serviceaccounts rfn-hello".to_owned(),
            format!("create deployments {name}"),
            "patch functions hello status".to_owned(),
        ]
    );
    let deployment = world.api.get("deployments", &name).unwrap();
    assert_eq!(deployment["spec"]["replicas"], 0);
    assert_eq!(deployment["metadata"]["ownerReferences"][0]["uid"], UID);
    let status = world.function("hello").status.unwrap();
    assert_eq!((status.observed_generation, status.replicas, &status.revision), (1, 0, &name));
    assert_eq!(status.url, "http://hello.shop.localhost:8080");
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::ScaledToZero));
    assert_eq!(says(&world, ConditionType::Active), said("False", Reason::ScaledToZero));
    assert_eq!(says(&world, ConditionType::Reconciling), None);

    // Before the watches have shown anything, and after; and after a restart, which remembers nothing.
    world.pass("hello").await.unwrap();
    world.sync();
    world.pass("hello").await.unwrap();
    let mut restarted = world.restarted();
    restarted.sync();
    restarted.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_child_that_was_changed_or_deleted_is_put_right() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    world.api.change("services", "hello", &json!({"spec": {"externalName": "elsewhere.example.com"}}));
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 3, "revisionHistoryLimit": 9}}));
    world.api.remove("serviceaccounts", "rfn-hello");
    world.sync();
    advance(crate::recent::LAG).await;
    world.pass("hello").await.unwrap();
    let news = world.api.news();
    let expected = [
        "apply services hello".to_owned(),
        "get functions hello".to_owned(),
        "create serviceaccounts rfn-hello".to_owned(),
        format!("apply deployments {name}"),
    ];
    assert_eq!(news, expected);
    // Replicas are nobody's business here.
    assert_eq!(world.api.get("deployments", &name).unwrap()["spec"]["replicas"], 3);
}

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
async fn a_refusal_is_told_and_tried_again() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.api.refuse("create deployments", 403, "exceeded quota: deployments");
    world.sync();
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Blocked);
    let status = world.function("hello").status.unwrap();
    let ready = condition::find(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_str()), ("False", "ApiRefused"));
    assert!(ready.message.contains("exceeded quota: deployments"), "{}", ready.message);
    world.sync();
    world.api.news();
    world.pass("hello").await.unwrap();
    let name = revision_of(json!({}));
    assert_eq!(world.api.news(), ["get functions hello".to_owned(), format!("create deployments {name}")]);
    world.api.relent();
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::ScaledToZero));
    assert_eq!(says(&world, ConditionType::WorkloadAvailable), said("True", Reason::Ready));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_is_no_condition() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.api.refuse("create services", 500, "etcd is away");
    world.sync();
    assert!(matches!(world.pass("hello").await, Err(Error::Apply(Stop::Call(..)))));
    assert_eq!(world.api.news(), ["create services hello"]);
}

#[tokio::test(start_paused = true)]
async fn an_invalid_spec_is_told_once() {
    let mut world = World::new();
    world.api.put("functions", function(json!({"resources": {"memory": "1Mi"}})));
    world.settle("hello").await;
    assert_eq!(world.api.news(), ["patch functions hello status"]);
    assert_eq!(says(&world, ConditionType::SourceValid), said("False", Reason::InvalidSpec));
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::InvalidSpec));
}

#[tokio::test(start_paused = true)]
async fn at_zero_a_new_revision_takes_over_at_once_and_starts_nothing() {
    let mut world = at_zero().await;
    let (old, new) = (revision_of(json!({})), revision_of(json!({"image": "registry.example/hello:2"})));
    world.api.change(
        "functions",
        "hello",
        &json!({"metadata": {"generation": 2}, "spec": {"image": "registry.example/hello:2"}}),
    );
    world.settle("hello").await;
    let expected = [
        "get functions hello".to_owned(),
        format!("create deployments {new}"),
        "patch functions hello status".to_owned(),
        format!("delete deployments {old}"),
    ];
    assert_eq!(world.api.news(), expected);
    assert_eq!(world.api.get("deployments", &new).unwrap()["spec"]["replicas"], 0);
    assert_eq!(world.function("hello").status.unwrap().revision, new);
}

#[tokio::test(start_paused = true)]
async fn above_zero_a_new_revision_takes_over_when_as_many_pods_are_ready() {
    let mut world = at_zero().await;
    let (old, new) = (revision_of(json!({})), revision_of(json!({"image": "registry.example/hello:2"})));
    scale(&world, &old, 2);
    world.settle("hello").await;
    world.api.news();
    world.api.change(
        "functions",
        "hello",
        &json!({"metadata": {"generation": 2}, "spec": {"image": "registry.example/hello:2"}}),
    );
    world.sync();
    world.pass("hello").await.unwrap();
    let expected = [
        "get functions hello".to_owned(),
        format!("create deployments {new}"),
        "patch functions hello status".to_owned(),
    ];
    assert_eq!(world.api.news(), expected);
    assert_eq!(world.api.get("deployments", &new).unwrap()["spec"]["replicas"], 2);
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut));
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));

    scale(&world, &new, 2);
    world.probed(&format!("{new}-1"), false);
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.function("hello").status.unwrap().revision, old);
    world.probed(&format!("{new}-1"), true);
    world.pass("hello").await.unwrap();
    assert_eq!(world.function("hello").status.unwrap().revision, new);

    // The old one is deleted when the autoscaler has brought it to 0 and its last pod is gone.
    world.settle("hello").await;
    world.api.news();
    world.api.change("deployments", &old, &json!({"spec": {"replicas": 0}}));
    world.api.remove("pods", &format!("{old}-0"));
    world.settle("hello").await;
    assert_eq!(world.api.news(), Vec::<String>::new());
    world.api.remove("pods", &format!("{old}-1"));
    world.settle("hello").await;
    assert_eq!(world.api.news(), [format!("delete deployments {old}")]);
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_that_never_becomes_ready_leaves_the_old_one_serving() {
    let mut world = at_zero().await;
    let (old, new) = (revision_of(json!({})), revision_of(json!({"image": "registry.example/hello:2"})));
    scale(&world, &old, 1);
    world.settle("hello").await;
    world.api.change(
        "functions",
        "hello",
        &json!({"metadata": {"generation": 2}, "spec": {"image": "registry.example/hello:2"}}),
    );
    world.sync();
    let Pass::Done(Some(wait)) = world.pass("hello").await.unwrap() else { panic!("it waits for the deadline") };
    assert_eq!(wait, Duration::from_secs(60));
    advance(wait).await;
    world.settle("hello").await;
    assert_eq!(world.function("hello").status.unwrap().revision, old);
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::RevisionFailed));
    assert_eq!(world.cx.verdicts.of(UID, &new).unwrap().failure.reason, Reason::RevisionFailed);

    // It stays so, at zero too, until the spec changes; the old spec is served at once.
    world.api.change("deployments", &old, &json!({"spec": {"replicas": 0}}));
    world.api.remove("pods", &format!("{old}-0"));
    world.settle("hello").await;
    assert_eq!(world.function("hello").status.unwrap().revision, old);
    world.api.change(
        "functions",
        "hello",
        &json!({"metadata": {"generation": 3}, "spec": {"image": "registry.example/hello:1"}}),
    );
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Stalled), None);
    assert_eq!(world.cx.verdicts.of(UID, &new), None);
}

#[tokio::test(start_paused = true)]
async fn a_failed_start_is_told_until_one_succeeds() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let mut broken = pod(&name, "p1");
    broken["status"]["containerStatuses"] =
        json!([container(json!({"waiting": {"reason": "ErrImagePull", "message": "no such image"}}))]);
    world.api.put("pods", broken.clone());
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 1}}));
    world.sync();
    world.pass("hello").await.unwrap();
    let verdict = world.cx.verdicts.of(UID, &name).unwrap();
    assert_eq!((verdict.failure.reason, verdict.pod_uids), (Reason::ImagePullError, vec!["p1".to_owned()]));
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::ImagePullError));
    assert_eq!(says(&world, ConditionType::WorkloadAvailable), said("False", Reason::ImagePullError));

    // Kubernetes words it differently by turns: no write for that.
    world.settle("hello").await;
    world.api.news();
    broken["status"]["containerStatuses"] =
        json!([container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}))]);
    world.api.put("pods", broken);
    world.settle("hello").await;
    assert_eq!(world.api.news(), Vec::<String>::new());

    // Back at zero the verdict is gone, so that the next request starts afresh, and the condition stays.
    world.api.remove("pods", "p1");
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 0}}));
    world.settle("hello").await;
    assert_eq!(world.cx.verdicts.of(UID, &name), None);
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::ImagePullError));
    scale(&world, &name, 1);
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));
    assert_eq!(says(&world, ConditionType::WorkloadAvailable), said("True", Reason::Ready));
}

#[tokio::test(start_paused = true)]
async fn waking_and_going_idle_are_told_late() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    scale(&world, &name, 1);
    world.sync();
    assert_eq!(world.pass("hello").await.unwrap(), Pass::Done(Some(status::LAZY)));
    assert_eq!(world.api.news(), Vec::<String>::new());
    advance(status::LAZY).await;
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), ["patch functions hello status"]);
    assert_eq!(says(&world, ConditionType::Active), said("True", Reason::Running));
    // A function that sleeps and wakes within a second need not say so.
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 0}}));
    world.sync();
    world.pass("hello").await.unwrap();
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 1}}));
    world.settle("hello").await;
    assert_eq!(world.api.news(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_paused_function_says_so() {
    let mut world = at_zero().await;
    world.api.change(
        "functions",
        "hello",
        &json!({"metadata": {"generation": 2}, "spec": {"scaling": {"mode": "Paused"}}}),
    );
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::Paused));
    assert_eq!(world.api.news(), ["patch functions hello status"]);
}

#[tokio::test(start_paused = true)]
async fn a_function_in_manual_mode_says_what_will_become_of_the_next_request() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let manual = |generation: i64, replicas: i32| json!({"metadata": {"generation": generation}, "spec": {"scaling": {"mode": "Manual", "replicas": replicas}}});
    world.api.change("functions", "hello", &manual(2, 0));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::ScaledToZeroByHand));
    assert_eq!(says(&world, ConditionType::Active), said("False", Reason::ScaledToZero));
    let status = world.function("hello").status.unwrap();
    assert_eq!(status.selector, format!("rouse.dev/function=hello,rouse.dev/revision={name}"));

    world.api.change("functions", "hello", &manual(3, 2));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Starting));
    scale(&world, &name, 2);
    advance(status::LAZY).await;
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));
    assert_eq!(says(&world, ConditionType::Active), said("True", Reason::Running));
    assert_eq!(world.function("hello").status.unwrap().replicas, 2);
}

#[tokio::test(start_paused = true)]
async fn a_schedule_that_cannot_be_followed_is_told_and_all_else_works() {
    let mut world = World::new();
    let schedules =
        |cron: &str| json!({"scaling": {"schedules": [{"cron": cron, "durationSeconds": 60, "minReplicas": 1}]}});
    world.api.put("functions", function(schedules("0 8 31 2 *")));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Degraded), said("True", Reason::InvalidSchedule));
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::ScaledToZero));
    world.api.news();
    world.settle("hello").await;
    assert_eq!(world.api.news(), Vec::<String>::new(), "told once");
    world.api.change("functions", "hello", &json!({"metadata": {"generation": 2}, "spec": schedules("0 8 31 3 *")}));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Degraded), None);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_autoscaler_is_told_of_without_asking_the_api_server() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let entry = json!({"manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
        "time": Timestamp::now().to_string(), "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}});
    world.api.change("deployments", &name, &json!({"metadata": {"managedFields": [entry]}, "spec": {"replicas": 1}}));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Degraded), said("True", Reason::ForeignScaler));
    assert_eq!(world.api.news(), ["patch functions hello status"]);
    // The next write of the autoscaler's own takes the field over; that is no reason to forget it.
    world.api.change("deployments", &name, &json!({"metadata": {"managedFields": []}, "spec": {"replicas": 0}}));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Degraded), said("True", Reason::ForeignScaler));
    let Pass::Done(Some(again)) = world.pass("hello").await.unwrap() else { panic!("it is looked at again") };
    assert!(again <= degraded::TOLD, "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn another_template_epoch_is_taken_at_zero_only() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let older = json!({"metadata": {"annotations": {labels::TEMPLATE_EPOCH: "0"}},
        "spec": {"replicas": 1, "template": {"spec": {"hostname": "old"}}}});
    world.api.change("deployments", &name, &older);
    world.settle("hello").await;
    world.api.news();
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), Vec::<String>::new());
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 0}}));
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), [format!("patch deployments {name}")]);
    let now = world.api.get("deployments", &name).unwrap();
    assert_eq!(now["metadata"]["annotations"][labels::TEMPLATE_EPOCH], "1");
    assert!(now["spec"]["template"]["spec"]["hostname"].is_null());

    // A wake that came in between keeps the old template.
    world.api.change("deployments", &name, &json!({"metadata": {"annotations": {labels::TEMPLATE_EPOCH: "0"}}}));
    world.sync();
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 1}}));
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.get("deployments", &name).unwrap()["metadata"]["annotations"][labels::TEMPLATE_EPOCH], "0");
}

#[tokio::test(start_paused = true)]
async fn what_another_program_keeps_changing_is_applied_once() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let injected = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
        "spec": {"template": {"spec": {"containers": [
        {"name": "function", "image": "elsewhere/hello:1"}, {"name": "sidecar", "image": "sidecar"}]}}}});
    world.api.change("deployments", &name, &injected);
    world.api.stick("deployments", &name, injected);
    world.settle("hello").await;
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.api.news(), [format!("apply deployments {name}")]);
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
