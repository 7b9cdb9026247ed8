//! What a Function says of itself.

use super::*;

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
