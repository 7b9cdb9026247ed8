//! Pods that start with a higher CPU limit.

use std::collections::BTreeSet;

use crds::labels;
use serde_json::Value;

use super::{cluster::boosted, *};

/// A world whose pod `p` has the CPU limit of its start.
fn world() -> World {
    let world = World::new();
    world.cluster.pod(boosted("p", "f-1", "100m"));
    world
}

/// Resized, as the watch shows it; `pending`: its node does not put it in force.
fn resized(pending: bool) -> Value {
    let mut pod = pod("p", "f-1");
    pod["metadata"]["annotations"] = json!({labels::CPU_LIMIT: "100m"});
    if pending {
        let condition = json!({"type": "PodResizePending", "status": "True", "reason": "Infeasible"});
        pod["status"]["conditions"] = json!([condition]);
    }
    pod
}

#[tokio::test(start_paused = true)]
async fn a_pod_gets_its_own_limit_the_moment_that_an_activator_has_it_for_ready() {
    let world = world();
    let a = world.activator("a").await;
    a.load(|load| (load.in_flight, load.requests, load.idle_since) = (1, 1, None)).await;
    assert_eq!(world.wait(3).await, Vec::<String>::new(), "it is not ready");
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    let before = Instant::now();
    assert_eq!(world.until("resize p to 100m").await, Vec::<String>::new());
    assert!(before.elapsed() <= Duration::from_millis(100), "{:?}", before.elapsed());
    world.cluster.pod(resized(false));
    assert_eq!(world.wait(30).await, Vec::<String>::new(), "once");
    assert!(!world.cx.refusals.concern("uf", "f-1"));
}

#[tokio::test(start_paused = true)]
async fn many_at_once_wait_for_each_other_and_for_nothing_else() {
    let world = world();
    let names: Vec<String> = (0..100).map(|n| format!("p{n}")).collect();
    names.iter().for_each(|name| world.cluster.pod(boosted(name, "f-1", "100m")));
    let a = world.activator("a").await;
    a.load(|load| (load.in_flight, load.requests, load.idle_since) = (1, 1, None)).await;
    a.load(|load| load.ready = names.clone()).await;
    let asked = world.wait(1).await;
    let (resized, else_asked): (Vec<_>, Vec<_>) = asked.into_iter().partition(|line| line.starts_with("resize"));
    let names: BTreeSet<&String> = resized.iter().collect();
    assert_eq!((names.len(), resized.len()), (100, 100), "each once; {else_asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_resizes_what_the_old_one_left() {
    let world = world();
    let a = world.activator("a").await;
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    // Lost on its way: the first leader is gone before the answer.
    world.until("resize p to 100m").await;
    world.scaler.abort();
    let next = World::with(world.cluster.clone());
    let a = next.activator("a").await;
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    next.until("resize p to 100m").await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_ends_the_boost_of_the_revision_and_breaks_nothing() {
    for code in [403, 422] {
        let world = world();
        world.cluster.api().resize = code;
        let a = world.activator("a").await;
        a.load(|load| {
            (load.in_flight, load.requests, load.idle_since, load.ready) = (1, 1, None, vec!["p".to_owned()])
        })
        .await;
        world.until("resize p to 100m").await;
        let asked = world.wait(60).await;
        assert!(asked.iter().all(|line| line == "resize p to 100m"), "{asked:?}");
        assert!((4..=6).contains(&asked.len()), "ever more rarely: {}", asked.len());
        assert!(world.cx.refusals.concern("uf", "f-1") && !world.cx.refusals.concern("uf", "f-2"), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_trouble_is_no_refusal() {
    let world = world();
    world.cluster.api().resize = 503;
    let a = world.activator("a").await;
    a.load(|load| (load.in_flight, load.requests, load.idle_since, load.ready) = (1, 1, None, vec!["p".to_owned()]))
        .await;
    world.until("resize p to 100m").await;
    assert!(!world.wait(10).await.is_empty());
    assert!(!world.cx.refusals.concern("uf", "f-1"));
    world.cluster.api().resize = 200;
    world.until("resize p to 100m").await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_refuses_ends_the_boost_of_the_revision() {
    let world = world();
    let a = world.activator("a").await;
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    world.until("resize p to 100m").await;
    world.cluster.pod(resized(true));
    sleep(Duration::from_millis(10)).await;
    assert!(world.cx.refusals.concern("uf", "f-1"));
}

#[tokio::test(start_paused = true)]
async fn what_others_resize_is_theirs() {
    let world = World::new();
    let mut pod = resized(true);
    pod["metadata"]["annotations"] = json!({});
    world.cluster.pod(pod);
    let a = world.activator("a").await;
    a.load(|load| load.ready = vec!["p".to_owned()]).await;
    assert_eq!(world.wait(2).await, Vec::<String>::new());
    assert!(!world.cx.refusals.concern("uf", "f-1"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_resized_without_a_lease_that_outlasts_it() {
    let world = world();
    world.term.send_replace(Some(Term { epoch: EPOCH, valid_until: Instant::now() + Duration::from_secs(1) }));
    let a = world.activator("a").await;
    a.load(|load| (load.in_flight, load.requests, load.idle_since, load.ready) = (1, 1, None, vec!["p".to_owned()]))
        .await;
    assert_eq!(world.wait(5).await, Vec::<String>::new());
    world.term.send_replace(Some(Term { epoch: EPOCH, valid_until: Instant::now() + Duration::from_secs(60) }));
    world.until("resize p to 100m").await;
}
