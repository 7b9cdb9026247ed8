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
    // An evicted pod stays until somebody deletes it.
    world.api.change("pods", &format!("{old}-1"), &json!({"status": {"phase": "Failed", "reason": "Evicted"}}));
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
    world.pass("hello").await.unwrap();
    // Its time begins when it is to have pods.
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

/// A world with a Function that runs, and the names of its revision and of the one that its spec asks for now.
async fn rolling_out(spec: Value) -> (World, String, String) {
    let mut world = at_zero().await;
    let old = revision_of(json!({}));
    scale(&world, &old, 1);
    world.settle("hello").await;
    change(&mut world, 2, &spec);
    (world, old, revision_of(spec))
}

fn change(world: &mut World, generation: i64, spec: &Value) {
    world.api.change("functions", "hello", &json!({"metadata": {"generation": generation}, "spec": spec}));
    world.sync();
}

fn replicas_of(world: &World, revision: &str) -> Value {
    world.api.get("deployments", revision).unwrap()["spec"]["replicas"].clone()
}

/// What is no part of a revision may have been what was wrong.
#[tokio::test(start_paused = true)]
async fn a_new_revision_that_was_late_is_tried_again_under_other_terms() {
    for better in [json!({"readiness": {"path": "/ok"}}), json!({"timeouts": {"coldStartSeconds": 90}})] {
        let (mut world, _, new) = rolling_out(json!({"image": "registry.example/hello:2"})).await;
        world.settle("hello").await;
        advance(Duration::from_secs(60)).await;
        world.settle("hello").await;
        assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::RevisionFailed));
        change(&mut world, 3, &json!({"scaling": {"maxReplicas": 7}}));
        world.settle("hello").await;
        assert!(world.cx.verdicts.of(UID, &new).is_some(), "that changes nothing");
        change(&mut world, 4, &better);
        world.settle("hello").await;
        assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut), "{better}");
        assert_eq!(world.cx.verdicts.of(UID, &new), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_that_could_not_be_made_has_its_time_before_it() {
    let mut world = at_zero().await;
    let (old, new) = (revision_of(json!({})), revision_of(json!({"image": "registry.example/hello:2"})));
    scale(&world, &old, 1);
    world.settle("hello").await;
    world.api.refuse("create deployments", 403, "exceeded quota");
    change(&mut world, 2, &json!({"image": "registry.example/hello:2"}));
    world.pass("hello").await.unwrap();
    advance(Duration::from_secs(100)).await;
    world.pass("hello").await.unwrap();
    world.api.relent();
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut));
    assert_eq!(replicas_of(&world, &new), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_known_of_starts_ends_with_a_spec_that_is_not_valid() {
    let (mut world, _, new) = rolling_out(json!({"image": "registry.example/hello:2"})).await;
    world.settle("hello").await;
    advance(Duration::from_secs(60)).await;
    world.settle("hello").await;
    assert!(world.cx.verdicts.of(UID, &new).is_some());
    change(&mut world, 3, &json!({"pod": {"annotations": {"rouse.dev/a": "b"}}}));
    world.settle("hello").await;
    assert_eq!(world.cx.verdicts.all(), []);
    change(&mut world, 4, &json!({"pod": null}));
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut), "its time begins anew");
}

/// A cluster with room for one of two. Where that one hangs, there is more wrong than the room.
#[tokio::test(start_paused = true)]
async fn a_new_revision_that_finds_room_for_a_part_has_its_turn_at_zero() {
    for (answers, reason) in [(true, Reason::Unschedulable), (false, Reason::RevisionFailed)] {
        let mut world = at_zero().await;
        let (old, new) = (revision_of(json!({})), revision_of(json!({"image": "registry.example/hello:2"})));
        scale(&world, &old, 2);
        world.settle("hello").await;
        change(&mut world, 2, &json!({"image": "registry.example/hello:2"}));
        world.settle("hello").await;
        scale(&world, &new, 2);
        world.probed(&format!("{new}-0"), answers);
        let condition =
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no cpu"});
        let status = json!({"phase": "Pending", "conditions": [condition], "containerStatuses": null});
        let second = format!("{new}-1");
        world.api.change("pods", &second, &json!({"status": status}));
        world.probed(&second, false);
        world.settle("hello").await;
        advance(Duration::from_secs(60)).await;
        world.settle("hello").await;
        assert_eq!(world.cx.verdicts.of(UID, &new).unwrap().failure.reason, reason);
        world.api.change("deployments", &old, &json!({"spec": {"replicas": 0}}));
        (0..2).for_each(|n| world.api.remove("pods", &format!("{old}-{n}")));
        world.settle("hello").await;
        assert_eq!(world.function("hello").status.unwrap().revision, if answers { new } else { old });
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_starts_no_more_than_there_may_be() {
    for (scaling, replicas) in
        [(json!({"mode": "Paused"}), 0), (json!({"mode": "Manual", "replicas": 1}), 1), (json!({"maxReplicas": 2}), 2)]
    {
        let mut world = at_zero().await;
        scale(&world, &revision_of(json!({})), 3);
        world.settle("hello").await;
        let spec = json!({"image": "registry.example/hello:2", "scaling": scaling});
        change(&mut world, 2, &spec);
        world.pass("hello").await.unwrap();
        assert_eq!(replicas_of(&world, &revision_of(spec)), replicas, "{scaling}");
    }
}
