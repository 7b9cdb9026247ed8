//! What the spec says of the number of replicas, by itself and by the time of day.

use super::*;

#[tokio::test(start_paused = true)]
async fn min_replicas_are_raised_to_and_a_candidate_follows() {
    let cluster = Cluster::new();
    let mut two = function("f-1");
    two["spec"]["scaling"]["minReplicas"] = json!(2);
    cluster.function(two.clone());
    cluster.deployment(deployment("f-1", 0));
    let world = World::with(cluster);
    assert_eq!(world.until("scale f-1 to 2").await, Vec::<String>::new(), "with the version that the store has");
    let candidate =
        crds::revision::name("f", &serde_json::from_value::<crds::FunctionSpec>(two["spec"].clone()).unwrap());
    world.cluster.sync();
    world.cluster.deployment(deployment(&candidate, 0));
    world.until(&format!("scale {candidate} to 2")).await;
}

/// From 08:00 on, a minute after the begin, for two minutes.
#[tokio::test(start_paused = true)]
async fn a_sleeping_function_is_raised_when_its_window_begins_and_sleeps_again_after_it() {
    let cluster = Cluster::new();
    let mut scheduled = function("f-1");
    scheduled["spec"]["scaling"]["schedules"] =
        json!([{"cron": "0 8 * * *", "durationSeconds": 120, "minReplicas": 2}]);
    cluster.function(scheduled);
    cluster.deployment(deployment("f-1", 0));
    let world = World::with(cluster);
    let _a = world.activator("a").await;
    assert_eq!(world.wait(59).await, Vec::<String>::new());
    assert_eq!(world.wait(2).await, ["scale f-1 to 2"]);
    world.cluster.sync();
    world.cluster.pod(pod("p", "f-1"));
    world.cluster.pod(pod("q", "f-1"));
    assert_eq!(world.wait(118).await, Vec::<String>::new(), "many idle windows");
    assert_eq!(world.wait(3).await, ["read f-1", "scale f-1 to 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_number_set_by_hand_is_followed_up_and_down() {
    let cluster = Cluster::new();
    let manual = |replicas: i32| {
        let mut manual = function("f-1");
        manual["spec"]["scaling"] = json!({"mode": "Manual", "replicas": replicas, "windowSeconds": 10});
        manual
    };
    cluster.function(manual(1));
    cluster.deployment(deployment("f-1", 0));
    let world = World::with(cluster);
    assert_eq!(world.until("scale f-1 to 1").await, Vec::<String>::new(), "a raise needs no activator");
    world.cluster.sync();
    world.cluster.pod(pod("p", "f-1"));
    let a = world.activator("a").await;
    assert_eq!(world.wait(60).await, Vec::<String>::new(), "idle");
    a.load(|load| (load.in_flight, load.requests, load.idle_since) = (500, 500, None)).await;
    assert_eq!(world.wait(60).await, Vec::<String>::new(), "busy");
    world.cluster.function(manual(0));
    assert_eq!(world.wait(5).await, Vec::<String>::new());
    assert_eq!(drained(&a.news()), ["p"]);
    a.load(|load| (load.in_flight, load.idle_since) = (0, Some(Instant::now()))).await;
    assert_eq!(world.until("scale f-1 to 0").await, ["read f-1"]);
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_hangs_a_revision_waits_once() {
    const FUNCTIONS: usize = 100;
    let cluster = Cluster::new();
    cluster.api().hang = true;
    for n in 0..FUNCTIONS {
        let (name, uid) = (format!("f{n}"), format!("u{n}"));
        let mut one = function(&format!("{name}-1"));
        (one["metadata"]["name"], one["metadata"]["uid"]) = (json!(name), json!(uid));
        one["spec"]["scaling"]["minReplicas"] = json!(1);
        cluster.function(one);
        let mut deployment = deployment(&format!("{name}-1"), 0);
        deployment["metadata"]["labels"][labels::FUNCTION] = json!(name);
        deployment["metadata"]["labels"][labels::FUNCTION_UID] = json!(uid);
        cluster.deployment(deployment);
    }
    let world = World::with(cluster);
    let mut tried = world.wait(2).await;
    let waiting = usize::try_from(world.cx.metrics.waiting.get()).unwrap();
    assert!((1..=FUNCTIONS).contains(&waiting), "{waiting}");
    tried.extend(world.wait(118).await);
    // Each has its turn, and when the API server answers again, each is raised once.
    for n in 0..FUNCTIONS {
        assert!(tried.contains(&format!("scale f{n}-1 to 1: no answer")), "f{n}");
    }
    world.cluster.api().hang = false;
    // What failed again and again is tried ever more rarely, and at the latest then.
    let mut raised = world.wait(40).await;
    raised.retain(|asked| !asked.ends_with("conflict"));
    raised.sort();
    let mut all: Vec<String> = (0..FUNCTIONS).map(|n| format!("scale f{n}-1 to 1")).collect();
    all.sort();
    assert_eq!(raised, all);
    assert_eq!(world.cx.metrics.waiting.get(), 0);
}
