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

/// A world in which one pod serves and then a spec of generation 2 cannot be carried out.
async fn stuck(spec: Value) -> World {
    let mut world = at_zero().await;
    scale(&world, &revision_of(json!({})), 1);
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));
    world.api.refuse("create deployments", 403, "exceeded quota");
    world.api.change("functions", "hello", &json!({"metadata": {"generation": 2}, "spec": spec}));
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready), "the old revision serves on");
    world
}

/// Passes until what is told late is told, too.
async fn tell(world: &mut World) {
    for _ in 0..3 {
        world.sync();
        world.pass("hello").await.unwrap();
        advance(status::LAZY).await;
    }
}

/// That how the old revision is scaled is told although the spec is not carried out.
async fn assert_scaling_is_told(world: &mut World, wrong: Reason) {
    let name = revision_of(json!({}));
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 0}}));
    world.api.remove("pods", &format!("{name}-0"));
    tell(world).await;
    let status = world.function("hello").status.unwrap();
    assert_eq!((status.replicas, status.observed_generation), (0, 2));
    assert_eq!(says(world, ConditionType::Active), said("False", Reason::ScaledToZero));
    assert_eq!(says(world, ConditionType::Ready), said("True", Reason::ScaledToZero));
    let ready = condition::find(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(ready.observed_generation, Some(1), "nobody takes it for the new spec's");
    assert_eq!(says(world, ConditionType::Stalled), said("True", wrong));

    let paused = json!({"metadata": {"generation": 3}, "spec": {"scaling": {"mode": "Paused"}}});
    world.api.change("functions", "hello", &paused);
    tell(world).await;
    assert_eq!(says(world, ConditionType::Ready), said("False", Reason::Paused));

    let on = json!({"metadata": {"generation": 4}, "spec": {"scaling": {"mode": "Auto"}}});
    world.api.change("functions", "hello", &on);
    scale(world, &name, 2);
    tell(world).await;
    assert_eq!(world.function("hello").status.unwrap().replicas, 2);
    assert_eq!(says(world, ConditionType::Active), said("True", Reason::Running));
    assert_eq!(says(world, ConditionType::Ready), said("True", Reason::Ready));
    world.api.news();
    tell(world).await;
    let writes: Vec<String> = world.api.news().into_iter().filter(|call| call.starts_with("patch")).collect();
    assert_eq!(writes, Vec::<String>::new(), "told once");
}

#[tokio::test(start_paused = true)]
async fn scaling_is_told_though_the_spec_is_invalid() {
    let mut world = stuck(json!({"resources": {"memory": "1Mi"}})).await;
    assert_scaling_is_told(&mut world, Reason::InvalidSpec).await;
}

#[tokio::test(start_paused = true)]
async fn scaling_is_told_though_the_new_revision_is_refused() {
    let mut world = stuck(json!({"image": "registry.example/hello:2"})).await;
    assert_scaling_is_told(&mut world, Reason::ApiRefused).await;
}

#[tokio::test(start_paused = true)]
async fn a_function_without_its_service_is_not_ready_however_it_is_scaled() {
    let mut world = at_zero().await;
    let service = json!({"metadata": {"ownerReferences": null, "uid": "somebody else's"}});
    world.api.change("services", "hello", &service);
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::NameTaken));
    scale(&world, &revision_of(json!({})), 1);
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Active), said("True", Reason::Running));
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::NameTaken));
    let invalid = json!({"metadata": {"generation": 2}, "spec": {"resources": {"memory": "1Mi"}}});
    world.api.change("functions", "hello", &invalid);
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::InvalidSpec));
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::NameTaken));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_succeeds_is_told_though_the_spec_is_invalid() {
    let mut world = at_zero().await;
    let name = revision_of(json!({}));
    let mut broken = pod(&name, "p1");
    broken["status"]["containerStatuses"] =
        json!([container(json!({"waiting": {"reason": "ErrImagePull", "message": "no such image"}}))]);
    world.api.put("pods", broken);
    world.api.change("deployments", &name, &json!({"spec": {"replicas": 1}}));
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::ImagePullError));
    let invalid = json!({"metadata": {"generation": 2}, "spec": {"resources": {"memory": "1Mi"}}});
    world.api.change("functions", "hello", &invalid);
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::ImagePullError), "it is told on");
    scale(&world, &name, 1);
    tell(&mut world).await;
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready));
    assert_eq!(says(&world, ConditionType::WorkloadAvailable), said("True", Reason::Ready));
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
