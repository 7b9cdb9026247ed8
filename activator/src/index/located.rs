//! Which pod has which address, event by event.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::tests::{find, function, index, labels, serving};
use super::{Index, Probe};
use crate::pods::Pod;

/// A pod of function `f`, made at this second, as the watch shows it.
struct Shown {
    object: Value,
}

fn pod(uid: &str, created: u32) -> Shown {
    let object = json!({
        "metadata": {"namespace": "shop", "name": uid, "uid": uid, "labels": labels("f", "r1"),
            "creationTimestamp": format!("2026-01-01T00:00:{created:02}Z")},
        "spec": {"containers": [{"name": "function", "ports": [{"name": "http1", "containerPort": 9000}]}]},
        "status": {"phase": "Running"},
    });
    Shown { object }
}

impl Shown {
    fn at(mut self, ip: &str) -> Self {
        self.object["status"]["podIP"] = json!(ip);
        self
    }

    fn phase(mut self, phase: &str) -> Self {
        self.object["status"]["phase"] = json!(phase);
        self
    }

    fn deleted(mut self) -> Self {
        self.object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:01:00Z");
        self
    }

    fn labelled(mut self, labels: Value) -> Self {
        self.object["metadata"]["labels"] = labels;
        self
    }

    fn seen(self, index: &Index) -> Option<Probe> {
        index.pod_applied(&serde_json::from_value(self.object).unwrap(), Instant::now())
    }
}

/// Where the index has it, if anywhere.
fn address(index: &Index, uid: &str) -> Option<String> {
    find(index, uid).pool().map(|pool| pool.target().address.ip().to_string())
}

fn prove(pod: &Pod) {
    assert!(pod.prove(&pod.pool().unwrap(), Instant::now()));
    assert!(pod.is_ready());
}

fn with_function() -> Index {
    let index = index();
    function(&index, "f", "r1");
    index
}

/// A look that takes away what rang so far.
fn rang(pod: &Arc<Pod>) -> bool {
    use futures::FutureExt as _;
    pod.doubt.notified().now_or_never().is_some()
}

#[tokio::test]
async fn an_address_belongs_to_the_newest_pod() {
    let index = with_function();
    pod("old", 1).at("10.0.0.1").seen(&index);
    let old = find(&index, "old");
    prove(&old);
    let pool = old.pool().unwrap();
    pod("new", 2).at("10.0.0.1").seen(&index);
    assert!(!old.is_ready() && !old.prove(&pool, Instant::now()));
    assert_eq!((address(&index, "old"), address(&index, "new")), (None, Some("10.0.0.1".into())));
    let new = find(&index, "new");
    prove(&new);
    pod("old", 1).at("10.0.0.1").seen(&index);
    assert_eq!(address(&index, "old"), None, "a late word of the old one");
    // An older pod whose first word comes late does not get it either.
    pod("older", 0).at("10.0.0.1").seen(&index);
    assert_eq!(address(&index, "older"), None);
    assert!(new.is_ready(), "and the holder does not even notice");
}

#[tokio::test]
async fn a_changed_address_has_to_be_proved_anew() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    let a = find(&index, "a");
    let first = a.pool().unwrap();
    prove(&a);
    assert!(rang(&a));
    pod("a", 1).at("10.0.0.2").seen(&index);
    assert!(!a.is_ready());
    assert!(!a.prove(&first, Instant::now()), "a proof of the address before");
    assert_eq!(address(&index, "a").unwrap(), "10.0.0.2");
    assert!(rang(&a), "the probe looks there");
    assert!(a.was_ready(), "it is not a start that has failed before it was ever ready");
    pod("a", 1).at("10.0.0.2").seen(&index);
    assert!(!rang(&a), "no news");
}

#[tokio::test]
async fn an_address_left_behind_is_free() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    pod("a", 1).at("10.0.0.2").seen(&index);
    let a = find(&index, "a");
    prove(&a);
    // The next pod gets the address that the first one left, newer or older.
    pod("b", 2).at("10.0.0.1").seen(&index);
    assert!(a.is_ready());
    assert_eq!(address(&index, "b").unwrap(), "10.0.0.1");
    pod("b", 2).at("10.0.0.3").seen(&index);
    pod("c", 0).at("10.0.0.1").seen(&index);
    assert_eq!(address(&index, "c").unwrap(), "10.0.0.1");
    assert!(a.is_ready());
    assert_eq!(serving(&index), ["c", "a", "b"]);
}

#[tokio::test]
async fn a_displaced_pod_serves_again_at_an_address_of_its_own() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    let a = find(&index, "a");
    prove(&a);
    pod("b", 2).at("10.0.0.1").seen(&index);
    assert!(!a.leaving.is_cancelled() && rang(&a));
    pod("a", 1).at("10.0.0.2").seen(&index);
    assert!(rang(&a), "its probe runs on");
    prove(&a);
    assert_eq!(address(&index, "b").unwrap(), "10.0.0.1");
}

#[tokio::test]
async fn a_displaced_pod_gets_the_same_address_again_once_the_other_goes() {
    for how in ["gone", "elsewhere", "ended"] {
        let index = with_function();
        pod("a", 1).at("10.0.0.1").seen(&index);
        let a = find(&index, "a");
        let first = a.pool().unwrap();
        prove(&a);
        pod("b", 2).at("10.0.0.1").seen(&index);
        assert!(rang(&a));
        match how {
            "gone" => index.pod_gone("b", Instant::now()),
            "elsewhere" => drop(pod("b", 2).at("10.0.0.2").seen(&index)),
            _ => drop(pod("b", 2).at("10.0.0.1").phase("Succeeded").seen(&index)),
        }
        assert_eq!(address(&index, "a").unwrap(), "10.0.0.1", "{how}: without a further word of its own");
        assert!(!a.is_ready() && rang(&a), "{how}");
        assert!(!a.prove(&first, Instant::now()), "{how}: what was asked before the other one came");
        prove(&a);
    }
}

#[tokio::test]
async fn a_pod_that_ends_keeps_its_address_to_the_end() {
    // Whether it was seen before its end began or not.
    for seen_before in [true, false] {
        let index = with_function();
        pod("old", 1).at("10.0.0.1").seen(&index);
        if seen_before {
            pod("new", 2).at("10.0.0.1").seen(&index);
        }
        assert!(pod("new", 2).at("10.0.0.1").deleted().seen(&index).is_none());
        assert_eq!(address(&index, "old"), None, "the new one still listens there");
        pod("new", 2).at("10.0.0.1").deleted().phase("Failed").seen(&index);
        assert_eq!(address(&index, "old").unwrap(), "10.0.0.1");
        index.pod_gone("new", Instant::now());
        index.pod_gone("old", Instant::now());
        assert!(index.lock().addresses.is_empty() && index.lock().owners.is_empty());
    }
}

#[tokio::test]
async fn an_address_that_disappears_and_comes_back_is_proved_anew() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    let a = find(&index, "a");
    prove(&a);
    assert!(rang(&a));
    pod("a", 1).seen(&index);
    assert!(!a.is_ready());
    assert_eq!(address(&index, "a"), None);
    assert!(a.seen().address.is_none());
    pod("b", 0).at("10.0.0.1").seen(&index);
    assert_eq!(address(&index, "b").unwrap(), "10.0.0.1", "it is free meanwhile, for an older one too");
    pod("a", 1).at("10.0.0.1").seen(&index);
    assert_eq!((address(&index, "a"), address(&index, "b")), (Some("10.0.0.1".into()), None));
    assert!(rang(&a));
    prove(&a);
}

#[tokio::test]
async fn a_pod_that_leaves_is_not_located_again() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    let a = find(&index, "a");
    pod("a", 1).at("10.0.0.1").deleted().seen(&index);
    let pool = a.pool().unwrap();
    assert!(!a.prove(&pool, Instant::now()), "a probe that was under way");
    pod("a", 1).at("10.0.0.2").deleted().seen(&index);
    assert_eq!(address(&index, "a").unwrap(), "10.0.0.1");
    assert!(!a.is_ready());
}

#[tokio::test]
async fn every_pod_has_one_probe_wherever_it_is() {
    let index = with_function();
    assert!(pod("a", 1).seen(&index).is_some());
    assert!(pod("b", 2).at("10.0.0.1").seen(&index).is_some());
    assert!(pod("a", 1).at("10.0.0.1").seen(&index).is_none());
    index.pod_gone("b", Instant::now());
    assert!(rang(&find(&index, "a")), "its probe was waiting for this");
}

#[tokio::test]
async fn a_pod_that_lost_its_labels_is_gone_and_one_that_changed_them_is_another() {
    let index = with_function();
    pod("a", 1).at("10.0.0.1").seen(&index);
    let before = find(&index, "a");
    assert!(pod("a", 1).at("10.0.0.1").labelled(labels("f", "r2")).seen(&index).is_some());
    assert!(before.leaving.is_cancelled() && serving(&index).is_empty());
    pod("a", 1).at("10.0.0.1").labelled(labels("g", "r1")).seen(&index);
    assert_eq!(index.pods().len(), 1);
    assert_eq!(&*find(&index, "a").function_uid, "g");
    pod("a", 1).at("10.0.0.1").labelled(json!({"rouse.dev/function": "hello"})).seen(&index);
    assert!(index.pods().is_empty() && index.lock().addresses.is_empty() && index.lock().owners.is_empty());
}
