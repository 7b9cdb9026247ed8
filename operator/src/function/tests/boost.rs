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
