//! Children that are made, put right and left alone.

use super::*;

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
async fn an_api_server_in_trouble_is_no_condition() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.api.refuse("create services", 500, "etcd is away");
    world.sync();
    assert!(matches!(world.pass("hello").await, Err(Error::Apply(Stop::Call(..)))));
    assert_eq!(world.api.news(), ["create services hello"]);
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
