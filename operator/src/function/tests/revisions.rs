//! One revision takes over from another.

use super::*;

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
