//! Functions from source.

use super::*;
use crate::testing::fixtures::source;

const CODE: &str = "def handler(request): return 'hello'";

async fn created(world: &mut World) -> String {
    world.api.put("functions", function(source(CODE)));
    world.settle("hello").await;
    revision_of(source(CODE))
}

fn other(generation: u32, code: &str) -> Value {
    json!({"metadata": {"generation": generation}, "spec": {"source": {"inline": code}}})
}

#[tokio::test(start_paused = true)]
async fn the_code_is_there_before_its_deployment_and_is_asked_for_once() {
    let mut world = World::new();
    let name = created(&mut world).await;
    let expected = [
        "create services hello".to_owned(),
        "create serviceaccounts rfn-hello".to_owned(),
        format!("create configmaps {name}"),
        format!("create deployments {name}"),
        "patch functions hello status".to_owned(),
    ];
    assert_eq!(world.api.news(), expected);
    let code = world.api.get("configmaps", &name).unwrap();
    assert_eq!((&code["data"]["source"], &code["immutable"]), (&json!(CODE), &json!(true)));
    assert_eq!(code["metadata"]["ownerReferences"][0]["uid"], UID);
    // Nobody watches it.
    world.api.remove("configmaps", &name);
    world.settle("hello").await;
    let mut restarted = world.restarted();
    restarted.settle("hello").await;
    assert_eq!(world.api.news(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn code_that_pods_miss_is_made_again() {
    let mut world = World::new();
    let name = created(&mut world).await;
    world.api.remove("configmaps", &name);
    scale(&world, &name, 1);
    let mut waits = pod(&name, &format!("{name}-0"));
    let reason = json!({"waiting": {"reason": "CreateContainerConfigError", "message": "configmap not found"}});
    waits["status"]["containerStatuses"] = json!([container(reason)]);
    world.api.put("pods", waits);
    world.probed(&format!("{name}-0"), false);
    world.api.news();
    world.sync();
    world.pass("hello").await.unwrap();
    let news = world.api.news();
    assert_eq!(news[..2], ["get functions hello".to_owned(), format!("create configmaps {name}")]);
    // It may as well be another one that is missing.
    world.sync();
    world.pass("hello").await.unwrap();
    let expected =
        ["get functions hello".to_owned(), format!("create configmaps {name}"), format!("get configmaps {name}")];
    assert_eq!(world.api.news()[..3], expected);
}

#[tokio::test(start_paused = true)]
async fn code_of_somebody_else_is_left_alone() {
    let mut world = World::new();
    let name = revision_of(source(CODE));
    world.api.put(
        "configmaps",
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}}),
    );
    world.api.put("functions", function(source(CODE)));
    world.sync();
    world.pass("hello").await.unwrap();
    world.sync();
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::NameTaken));
    assert!(world.api.get("deployments", &name).is_none());
    assert_eq!(world.api.get("configmaps", &name).unwrap()["data"], json!(null));
}

#[tokio::test(start_paused = true)]
async fn the_code_goes_with_its_revision() {
    let mut world = World::new();
    let old = created(&mut world).await;
    world.api.news();
    world.api.change("functions", "hello", &other(2, "def handler(request): return 'bye'"));
    world.settle("hello").await;
    let new = revision_of(source("def handler(request): return 'bye'"));
    let expected = [
        "get functions hello".to_owned(),
        format!("create configmaps {new}"),
        "get functions hello".to_owned(),
        format!("create deployments {new}"),
        "patch functions hello status".to_owned(),
        format!("get configmaps {old}"),
        format!("delete configmaps {old}"),
        format!("delete deployments {old}"),
    ];
    assert_eq!(world.api.news(), expected);
    assert!(world.api.get("configmaps", &old).is_none());
    assert!(world.api.get("configmaps", &new).is_some());
}

#[tokio::test(start_paused = true)]
async fn the_code_goes_with_its_revision_though_its_deletion_fails_at_first() {
    let mut world = World::new();
    let old = created(&mut world).await;
    world.api.change("functions", "hello", &other(2, "def handler(request): return 'bye'"));
    world.sync();
    world.pass("hello").await.unwrap();
    world.api.refuse("delete configmaps", 500, "a moment of weakness");
    world.sync();
    assert!(world.pass("hello").await.is_err());
    world.api.relent();
    let mut successor = world.restarted();
    successor.settle("hello").await;
    assert!(world.api.get("configmaps", &old).is_none());
    assert!(world.api.get("deployments", &old).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_code_of_a_revision_that_is_refused_does_not_stay() {
    let mut world = World::new();
    let name = revision_of(source(CODE));
    world.api.refuse("create deployments", 403, "exceeded quota");
    world.api.put("functions", function(source(CODE)));
    world.sync();
    world.pass("hello").await.unwrap();
    let news = world.api.news();
    let of_code: Vec<&String> = news.iter().filter(|call| call.contains("configmaps")).collect();
    let expected = ["create", "get", "delete"].map(|verb| format!("{verb} configmaps {name}"));
    assert_eq!(of_code, expected.iter().collect::<Vec<_>>(), "{news:?}");
    assert!(world.api.get("configmaps", &name).is_none());
    world.api.relent();
    world.settle("hello").await;
    assert!(world.api.get("configmaps", &name).is_some());
    assert!(world.api.get("deployments", &name).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_is_asked_for_again_has_its_code() {
    let mut world = World::new();
    let old = created(&mut world).await;
    world.api.change("functions", "hello", &other(2, "def handler(request): return 'bye'"));
    world.api.refuse("delete deployments", 409, "it has changed");
    for _ in 0..3 {
        world.sync();
        world.pass("hello").await.unwrap();
    }
    assert!(world.api.get("configmaps", &old).is_none());
    assert!(world.api.get("deployments", &old).is_some(), "it may be asked for again");
    world.api.news();
    world.api.change("functions", "hello", &other(3, CODE));
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(world.function("hello").status.unwrap().revision, old);
    assert_eq!(world.api.get("configmaps", &old).unwrap()["data"]["source"], CODE);
    let news = world.api.news();
    assert_eq!(news[..2], ["get functions hello".to_owned(), format!("create configmaps {old}")], "{news:?}");
    // Once it serves, its code is not asked for again.
    world.api.relent();
    world.settle("hello").await;
    let news = world.api.news();
    assert!(!news.iter().any(|call| call.ends_with(&format!("configmaps {old}"))), "{news:?}");
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_comes_back_beside_another_has_its_code_before_its_pods() {
    let mut world = World::new();
    let old = created(&mut world).await;
    let new = revision_of(source("def handler(request): return 'bye'"));
    world.api.change("functions", "hello", &other(2, "def handler(request): return 'bye'"));
    world.api.refuse("delete deployments", 409, "it has changed");
    for _ in 0..3 {
        world.sync();
        world.pass("hello").await.unwrap();
    }
    scale(&world, &new, 1);
    world.api.change("functions", "hello", &other(3, CODE));
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(says(&world, ConditionType::Reconciling), said("True", Reason::RollingOut));
    assert!(world.api.get("configmaps", &old).is_some());
    assert_eq!(world.api.get("deployments", &old).unwrap()["spec"]["replicas"], 0);
}

#[tokio::test(start_paused = true)]
async fn other_code_under_the_name_is_not_taken_for_ours() {
    let mut world = World::new();
    let name = revision_of(source(CODE));
    let owner = json!([{"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "name": "hello", "uid": UID, "controller": true}]);
    world.api.put("configmaps", json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop", "ownerReferences": owner},
        "immutable": true, "data": {"source": "def handler(request): return 'planted'"},
    }));
    world.api.put("functions", function(source(CODE)));
    world.sync();
    world.pass("hello").await.unwrap();
    assert_eq!(says(&world, ConditionType::Stalled), said("True", Reason::NameTaken));
    assert!(world.api.get("deployments", &name).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_the_code_is_told_with_its_trace() {
    let mut world = World::new();
    let name = created(&mut world).await;
    scale(&world, &name, 1);
    let mut failed = pod(&name, &format!("{name}-0"));
    failed["metadata"]["labels"][labels::RUNTIME] = json!("python");
    let message = "The source has a syntax error in line 3.\n  File \"function.py\", line 3\n    retrun\n";
    let ended = json!({"terminated": {"exitCode": 78, "message": message}});
    failed["status"]["containerStatuses"] = json!([container(ended)]);
    world.api.put("pods", failed);
    world.probed(&format!("{name}-0"), false);
    world.settle("hello").await;
    assert_eq!(says(&world, ConditionType::WorkloadAvailable), said("False", Reason::SourceError));
    assert_eq!(says(&world, ConditionType::Ready), said("False", Reason::SourceError));
    let status = world.function("hello").status.unwrap();
    let told = condition::find(&status.conditions, ConditionType::Ready).unwrap();
    assert_eq!(told.message, message.trim_end());
}
