//! A start with a higher CPU limit than the function's own.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_boost_that_a_quota_refuses_ends_at_zero() {
    let mut world = World::new();
    let spec = json!({"resources": {"cpu": "50m", "cpuLimit": "100m"}});
    world.api.put("functions", function(spec.clone()));
    world.settle("hello").await;
    let name = revision_of(spec);
    let shape = |world: &World| {
        let now = world.api.get("deployments", &name).unwrap();
        let limits = &now["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"];
        let epoch = &now["metadata"]["annotations"][labels::TEMPLATE_EPOCH];
        (limits["cpu"].clone(), epoch.clone())
    };
    assert_eq!(shape(&world), (json!("1000m"), json!("1+cpu=1000m")));

    let refused = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "exceeded quota: q, requested: limits.cpu=1"});
    world.api.change(
        "deployments",
        &name,
        &json!({"metadata": {"generation": 2}, "spec": {"replicas": 1},
            "status": {"observedGeneration": 2, "conditions": [refused]}}),
    );
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::PodsRefused));
    assert_eq!(shape(&world).0, json!("1000m"), "a template that pods are wanted of is left alone");

    world.api.change("deployments", &name, &json!({"spec": {"replicas": 0}}));
    world.settle("hello").await;
    assert_eq!(shape(&world), (json!("100m"), json!("1")));
}

/// What Kubernetes says of a Deployment after its last change; `refused`: that its pods are over a quota.
fn seen(world: &World, deployment: &str, (generation, replicas): (i64, i32), refused: bool) {
    let refusal = json!({"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
        "message": "exceeded quota: q, requested: limits.cpu=1"});
    let conditions = if refused { json!([refusal]) } else { json!([]) };
    let patch = json!({"metadata": {"generation": generation}, "spec": {"replicas": replicas},
        "status": {"observedGeneration": generation, "conditions": conditions}});
    world.api.change("deployments", deployment, &patch);
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_whose_boost_a_quota_refuses_is_tried_once_without() {
    let mut world = World::new();
    let resources = json!({"cpu": "50m", "cpuLimit": "100m"});
    let (spec, new) =
        (json!({"resources": resources}), json!({"resources": resources, "image": "registry.example/hello:2"}));
    world.api.put("functions", function(spec.clone()));
    world.settle("hello").await;
    scale(&world, &revision_of(spec), 1);
    world.settle("hello").await;
    world.api.change("functions", "hello", &json!({"metadata": {"generation": 2}, "spec": new}));
    world.sync();
    world.pass("hello").await.unwrap();
    let new = revision_of(new);
    let limit = |world: &World| {
        let now = world.api.get("deployments", &new).unwrap();
        now["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["cpu"].clone()
    };
    assert_eq!(limit(&world), "1000m");

    seen(&world, &new, (2, 1), true);
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::RevisionFailed));
    assert_eq!(world.cx.verdicts.of(UID, &new).unwrap().failure.reason, Reason::PodsRefused);
    assert_eq!(limit(&world), "1000m", "pods are wanted of it still");
    // The autoscaler brings it to zero, and there it takes its own limit.
    world.api.change("deployments", &new, &json!({"metadata": {"generation": 3}, "spec": {"replicas": 0}}));
    world.settle("hello").await;
    assert_eq!(limit(&world), "100m");
    assert!(world.cx.verdicts.of(UID, &new).is_some(), "Kubernetes has not seen that");

    seen(&world, &new, (4, 0), false);
    world.settle("hello").await;
    assert_eq!(world.cx.verdicts.of(UID, &new), None, "the autoscaler may start it");
    assert_eq!(says(&world, ConditionType::Stalled), None);
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut));

    // There is no room without it either: that stands.
    seen(&world, &new, (5, 1), true);
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::RevisionFailed));
    seen(&world, &new, (6, 0), false);
    world.settle("hello").await;
    assert!(world.cx.verdicts.of(UID, &new).is_some(), "it was tried without");
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::RevisionFailed));
    assert_eq!(says(&world, ConditionType::Ready), said("True", Reason::Ready), "the old one serves on");
}
