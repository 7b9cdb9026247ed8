//! What can be seen of requests from outside.

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::warm::warm;
use super::{TestPod, eventually, world};

/// The sample of a function's series.
fn sample(name: &str, revision: &str, label: &str) -> String {
    format!("rouse_activator_function_{name}{{namespace=\"shop\",function=\"hello\",revision=\"{revision}\"{label}}}")
}

#[tokio::test]
async fn a_start_is_counted_where_it_belongs() {
    let mut world = world().await;
    let reply = world.get("/");
    world.expect_wake("r1", 1).await;
    assert!(world.says("rouse_activator_held_requests 1"));
    assert!(world.says("rouse_activator_function_held_requests{namespace=\"shop\",function=\"hello\"} 1.0"));
    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(reply.await.unwrap().status, 200);
    assert_eq!(world.get("/").await.unwrap().status, 200);
    for (sample, value) in [
        (sample("requests_total", "r1", ",class=\"2xx\""), "2"),
        (sample("wakes_total", "r1", ",result=\"ok\""), "1"),
        (sample("first_byte_seconds_count", "r1", ",cold=\"true\""), "1"),
        (sample("first_byte_seconds_count", "r1", ",cold=\"false\""), "1"),
        ("rouse_activator_hold_wait_seconds_count".to_owned(), "1"),
        ("rouse_activator_accepted_connections_total".to_owned(), "2"),
        ("rouse_activator_pod_connections".to_owned(), "1"),
        ("rouse_activator_pod_idle_connections".to_owned(), "1"),
        ("rouse_activator_held_requests".to_owned(), "0"),
    ] {
        eventually(|| world.says(&format!("{sample} {value}"))).await;
    }
    eventually(|| world.says("rouse_activator_connections 0")).await;
    // The next revision begins anew; what the first did stays to be scraped for a while.
    let next = TestPod::start("b").await;
    world.deployment("r2", 1);
    world.appear(&next, "r2");
    world.function("r2", json!({}));
    assert_eq!(world.get("/").await.unwrap().body, "b");
    assert!(world.says(&format!("{} 1", sample("requests_total", "r2", ",class=\"2xx\""))), "{}", world.metrics());
    assert!(world.says(&format!("{} 2", sample("requests_total", "r1", ",class=\"2xx\""))));
}

#[tokio::test]
async fn a_caller_that_leaves_is_counted_and_a_refusal_has_its_cause() {
    let pod = TestPod::start("a").await;
    let mut world = warm(&pod).await;
    let mut caller = TcpStream::connect(world.address).await.unwrap();
    caller.write_all(b"GET /never HTTP/1.1\r\nhost: hello.shop\r\n\r\n").await.unwrap();
    eventually(|| !pod.seen().is_empty()).await;
    assert!(world.says("rouse_activator_in_flight_requests 1"));
    drop(caller);
    let gone = sample("faults_total", "r1", ",fault=\"client-gone\"");
    eventually(|| world.says(&format!("{gone} 1"))).await;
    assert!(world.says(&format!("{} 1", sample("requests_total", "r1", ",class=\"4xx\""))));

    world.delete(&pod, "r1");
    world.deployment("r1", 0);
    world.function("r1", json!({"scaling": {"mode": "Paused"}}));
    assert_eq!(world.get("/").await.unwrap().status, 503);
    assert!(world.says(&format!("{} 1", sample("faults_total", "r1", ",fault=\"paused\""))));
    assert!(world.says(&format!("{} 1", sample("requests_total", "r1", ",class=\"5xx\""))));
}

#[tokio::test]
async fn what_is_going_on_can_be_looked_at() {
    let mut world = world().await;
    let trigger = json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Trigger", "metadata": {"namespace": "shop", "name": "t"},
        "spec": {"functionRef": {"name": "hello"}, "http": {"hosts": ["api.example.com"]}},
    });
    world.index.trigger_applied(&serde_json::from_value(trigger).unwrap());
    world.index.publish();
    let held = world.get("/");
    world.expect_wake("r1", 1).await;
    let seen = world.debug("");
    assert_eq!(seen["hold"]["now"]["requests"], 1);
    assert_eq!(seen["hold"]["namespaces"]["shop"]["requests"], 1);
    assert!(seen["hold"]["now"]["bytes"].as_u64().unwrap() > 20);
    assert_eq!(seen["connections"]["callers"], 1);
    assert_eq!(seen["routes"]["hosts"]["api.example.com"][0]["function"], "shop/hello");
    let function = &seen["functions"]["items"][0];
    assert_eq!((&function["name"], &function["gate"]["held"]), (&json!("hello"), &json!(1)));
    assert!(function["gate"]["oldestWaitMs"].is_u64() && function["lastWake"]["sentMsAgo"].is_u64(), "{function}");
    assert_eq!(function["waitingFor"], "the function is not woken yet");
    assert_eq!(world.debug("namespace=other")["functions"]["items"], json!([]));
    assert_eq!(world.debug("namespace=other")["routes"]["hosts"], json!({}));

    world.deployment("r1", 1);
    let pod = TestPod::start("a").await;
    world.appear(&pod, "r1");
    assert_eq!(held.await.unwrap().status, 200);
    let seen = || world.debug("namespace=shop&function=hello")["functions"]["items"][0].clone();
    eventually(|| seen()["pods"][0]["connections"] == json!({"open": 1, "idle": 1})).await;
    let function = seen();
    assert_eq!((&function["gate"]["held"], &function["gate"]["oldestWaitMs"]), (&json!(0), &json!(null)));
    assert_eq!(function["pods"][0]["address"], pod.address.to_string());
    assert_eq!((&function["pods"][0]["ready"], &function["pods"][0]["drained"]), (&json!(true), &json!(false)));
    world.index.pods()[0].slots.drain();
    assert_eq!(seen()["pods"][0]["drained"], true);
}

#[tokio::test]
async fn a_long_list_is_cut_and_says_so() {
    let world = world().await;
    for number in 0..crate::debug::FUNCTIONS {
        let object = json!({
            "apiVersion": "rouse.dev/v1alpha1", "kind": "Function",
            "metadata": {"namespace": "many", "name": format!("f{number:03}"), "uid": format!("u{number}")},
            "spec": {"image": "i"},
        });
        world.index.function_applied(&serde_json::from_value(object).unwrap());
    }
    let first = &world.debug("")["functions"];
    assert_eq!((first["items"].as_array().unwrap().len(), &first["cut"]), (100, &json!(true)));
    let next = format!("after={}", first["after"].as_str().unwrap());
    let rest = &world.debug(&next)["functions"];
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&rest["items"][0]["name"], &rest["cut"], &rest["after"]),
        (&json!("hello"), &json!(false), &json!(null))
    );
}
