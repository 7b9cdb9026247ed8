use runtime::failure::Failure;
use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::{
    failure::{Terms, Verdict},
    testing::{
        World,
        fixtures::{UID, function},
    },
};

#[tokio::test(start_paused = true)]
async fn every_function_gets_a_pass_and_another_after_an_error() {
    let mut world = World::new();
    world.api.put("functions", function(json!({})));
    world.api.refuse("create services", 500, "etcd is away");
    world.sync();
    let queue = Arc::new(Queue::default());
    let running = tokio::spawn(run(Arc::clone(&world.cx), vec![Arc::clone(&queue)]));
    sleep(Duration::from_secs(10)).await;
    let tries = world.api.news();
    assert!((4..=10).contains(&tries.len()) && tries.iter().all(|line| line == "create services hello"), "{tries:?}");

    world.api.relent();
    sleep(ERROR).await;
    assert_eq!(world.api.news().last().map(String::as_str), Some("patch functions hello status"));

    // What is known of a Function goes with it.
    world.sync();
    queue.add(Key::new("hello").within("shop"));
    sleep(Duration::from_secs(1)).await;
    let verdict = Verdict {
        key: Key::new("hello").within("shop"),
        function_uid: UID.to_owned(),
        revision: "hello-1".to_owned(),
        pod_uids: Vec::new(),
        failure: Failure::new(crds::Reason::CrashLoop, "words"),
        from_events: false,
        of_boost: false,
        terms: Terms::default(),
    };
    world.cx.verdicts.replace(UID, vec![verdict]);
    world.api.remove("functions", "hello");
    world.sync();
    queue.add(Key::new("hello").within("shop"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.cx.verdicts.all(), []);
    assert_eq!(world.api.news(), Vec::<String>::new());
    running.abort();
}
