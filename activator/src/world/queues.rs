//! How many may wait, and what they set off.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::json;

use super::frames::{Raw, request};
use super::{Reply, TestPod, within, world_with};
use crate::args::Limits;

#[tokio::test]
async fn ten_thousand_waiters_make_one_wake() {
    const CONNECTIONS: usize = 100;
    const STREAMS: usize = 100;
    /// So many take their time where other programs have the machine too.
    const MOST: Duration = Duration::from_secs(120);
    let spec =
        json!({"queue": {"maxRequests": 10_000}, "scaling": {"maxReplicas": 1}, "timeouts": {"coldStartSeconds": 300}});
    let mut world = world_with(spec, Limits::default()).await;
    let mut callers = Vec::new();
    for number in 0..CONNECTIONS {
        let mut caller = Raw::open(world.address).await;
        let requests = (0..STREAMS).map(|number| request(2 * u32::try_from(number).unwrap() + 1, 5, "hello.shop", "/"));
        assert!(caller.send(&requests.collect::<Vec<_>>().concat()).await);
        callers.push(caller);
        if number == 0 {
            // An API server that gives no answer for seconds would be asked again.
            world.expect_wake("r1", 1).await;
        }
    }
    within(MOST, || world.held() == CONNECTIONS * STREAMS).await;
    // One more than may wait.
    let refused = world.get("/").await.unwrap();
    assert_eq!((refused.status, &refused.problem()["type"]), (503, &json!("https://rouse.dev/problems/queue-full")));
    world.expect_silence().await;
    world.deployment("r1", 1);
    let pod = TestPod::h2c("a").await;
    world.appear(&pod, "r1");
    within(MOST, || callers.iter().all(|caller| caller.count(1) == STREAMS)).await;
    assert_eq!(pod.seen().len(), CONNECTIONS * STREAMS);
    world.expect_silence().await;
    let sample =
        "rouse_activator_function_wakes_total{namespace=\"shop\",function=\"hello\",revision=\"r1\",result=\"ok\"} 1";
    assert!(world.says(sample), "{}", world.metrics());
}

/// The share that the second of two requests finds used up, while the first one is held.
async fn refused(spec: serde_json::Value, limits: Limits) -> Reply {
    let mut world = world_with(spec, limits).await;
    let _first = world.get("/");
    world.expect_wake("r1", 1).await;
    world.until_held(1).await;
    let second = world.get("/").await.unwrap();
    let share = second.problem()["detail"].as_str().unwrap().to_owned();
    let word =
        share.strip_prefix("the queue is full: the share of the ").unwrap().split(' ').next().unwrap().to_owned();
    assert!(world.says(&format!("rouse_activator_queue_overflows_total{{share=\"{word}\"}} 1")), "{}", world.metrics());
    assert_eq!(world.held(), 1);
    second
}

#[tokio::test]
async fn each_limit_refuses_by_its_name() {
    let many = |most: usize| NonZeroUsize::new(most).unwrap();
    let one = json!({"queue": {"maxRequests": 1}});
    for (spec, limits, share) in [
        (one, Limits::default(), "function"),
        (json!({}), Limits { max_held: many(1), namespace_share_percent: 100, ..Limits::default() }, "process"),
        (json!({}), Limits { max_held: many(2), ..Limits::default() }, "namespace"),
        // A head has some 470 bytes, as fields are counted and with what is added to it.
        (json!({}), Limits { max_held_bytes: many(700), namespace_share_percent: 100, ..Limits::default() }, "process"),
        (json!({}), Limits { max_held_bytes: many(1400), ..Limits::default() }, "namespace"),
    ] {
        let reply = refused(spec, limits.clone()).await;
        assert_eq!(reply.status, 503);
        let detail = format!("the queue is full: the share of the {share} is used up");
        assert_eq!(reply.problem()["detail"], detail, "{limits:?}");
        assert!((1..=3).contains(&reply.after()), "{reply:?}");
    }
}
