//! The pods that are to go first are named to Kubernetes.

use serde_json::Value;

use super::*;

/// Two pods, both Ready, of which one is to go: `p`, since both are as busy.
fn world() -> World {
    let cluster = Cluster::new();
    let mut manual = function("f-1");
    manual["spec"]["scaling"] = json!({"mode": "Manual", "replicas": 1});
    cluster.function(manual);
    cluster.deployment(deployment("f-1", 2));
    ["p", "q"].iter().for_each(|name| cluster.pod(ready(name)));
    World::with(cluster)
}

fn ready(name: &str) -> Value {
    let mut pod = pod(name, "f-1");
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    pod
}

#[tokio::test(start_paused = true)]
async fn who_is_to_go_is_named_before_the_write() {
    let world = world();
    let a = world.activator("a").await;
    assert_eq!(world.until("mark p").await, Vec::<String>::new());
    assert_eq!(drained(&a.news()), ["p"]);
    let mut named = ready("p");
    named["metadata"]["annotations"] = json!({labels::POD_DELETION_COST: "-1000"});
    world.cluster.pod(named);
    assert_eq!(world.until("scale f-1 to 1").await, ["read f-1"]);
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_named_serves_on_and_that_is_told_and_tried_ever_more_rarely() {
    for (code, undo, words) in [(403, false, "NotNow"), (500, false, "NotNow"), (200, true, "somebody undoes it")] {
        let mut world = world();
        (world.cluster.api().annotate, world.cluster.api().undo) = (code, undo);
        world.write_events();
        let a = world.activator("a").await;
        let mut asked: Vec<String> = Vec::new();
        while !asked.iter().any(|line| line.starts_with("event")) {
            assert!(asked.len() <= 5, "it gives up: {asked:?}");
            assert!(asked.is_empty() || drained(&a.news()) == ["p"], "{asked:?}");
            asked.extend(world.wait(1).await);
        }
        let told = asked.iter().find(|line| line.starts_with("event")).unwrap();
        assert!(told.starts_with("event ScaleDownBlocked: ") && told.contains(words), "{told}");
        assert!(drained(&a.news()).is_empty(), "given back");

        let asked = world.wait(300).await;
        let tried = asked.iter().filter(|line| *line == "mark p").count();
        assert!((20..=30).contains(&tried), "in five minutes: {tried}");
        let told = asked.iter().filter(|line| line.starts_with("event")).count();
        assert_eq!(tried, told * 5, "each round has so many, and is told");
        assert_eq!(asked.len(), tried + told, "and nothing else: {asked:?}");
    }
}
