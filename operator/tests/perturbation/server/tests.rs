//! The server keeps the rules by which the operator is judged here.

use std::sync::Arc;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde_json::{Value, json};

use super::{Key, Part, Server, Store, client, kind};
use crate::faults::Trap;

fn server() -> Arc<Server> {
    Server::new(Trap::new(None))
}

fn key(plural: &str) -> Key {
    Key::new(kind(plural).unwrap(), "shop", "a")
}

fn deployment() -> Value {
    let container = json!({"name": "function", "image": "i:1", "env": [{"name": "A", "value": "1"}]});
    json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 0, "selector": {},
        "template": {"spec": {"containers": [container]}}}})
}

fn made(store: &mut Store) -> Arc<Value> {
    store.create(&key("deployments"), deployment(), "creator").unwrap()
}

fn code(written: Result<Arc<Value>, super::Refusal>) -> u16 {
    written.unwrap_err().code
}

#[tokio::test(start_paused = true)]
async fn an_apply_takes_out_what_its_manager_leaves_out_and_nobody_else_owns() {
    server().change(|state| {
        let store = &mut state.store;
        made(store);
        let apply = |store: &mut Store, body: Value| store.apply(&key("deployments"), "operator", true, &body).unwrap();
        let with = apply(
            store,
            json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"paused": true, "replicas": 3}}),
        );
        assert_eq!((&with["metadata"]["labels"]["b"], &with["spec"]["replicas"]), (&json!("1"), &json!(3)));
        let without = apply(store, json!({"metadata": {"labels": {}}, "spec": {}}));
        assert_eq!(without["metadata"]["labels"], json!({"a": "1"}), "the creator's stays");
        assert_eq!(without["spec"]["paused"], Value::Null);
        assert_eq!(without["spec"]["replicas"], 1, "the default, and not what was there before");
        assert_eq!(without["spec"]["template"]["spec"]["containers"][0]["image"], "i:1");
    });
}

#[tokio::test(start_paused = true)]
async fn lists_with_keys_are_merged_by_them() {
    server().change(|state| {
        let store = &mut state.store;
        made(store);
        let env = json!([{"name": "B", "value": "2"}]);
        let body = json!({"spec": {"template": {"spec": {"containers": [{"name": "function", "env": env}]}}}});
        let now = store.apply(&key("deployments"), "other", true, &body).unwrap();
        let container = &now["spec"]["template"]["spec"]["containers"][0];
        assert_eq!((&container["image"], container["env"].as_array().map(Vec::len)), (&json!("i:1"), Some(2)));
        let body = json!({"spec": {"template": {"spec": {"containers": [{"name": "function"}]}}}});
        let now = store.apply(&key("deployments"), "other", true, &body).unwrap();
        let container = &now["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["env"], json!([{"name": "A", "value": "1"}]));
    });
}

#[tokio::test(start_paused = true)]
async fn conditions_are_kept() {
    server().change(|state| {
        let store = &mut state.store;
        let first = made(store);
        let at = |field: &str, value: &str| json!({"metadata": {field: value}});
        assert_eq!(code(store.create(&key("deployments"), deployment(), "creator")), 409);
        assert_eq!(code(store.apply(&key("deployments"), "operator", true, &at("uid", "other"))), 409);
        assert_eq!(code(store.merge(&key("deployments"), Part::Scale, "scaler", &at("resourceVersion", "1"))), 409);
        let conflict = json!({"metadata": {"labels": {"a": "2"}}});
        assert_eq!(code(store.apply(&key("deployments"), "operator", false, &conflict)), 409);
        let test = json!([{"op": "test", "path": "/metadata/uid", "value": "other"}]);
        assert_eq!(code(store.json_patch(&key("deployments"), Part::Status, "operator", &test)), 422);
        assert_eq!(store.delete(&key("deployments"), &json!({"uid": "other"}), false).unwrap_err().code, 409);
        assert_eq!(store.get(&key("deployments")), Some(first));
        store.delete(&key("deployments"), &json!({}), false).unwrap();
        assert_eq!(code(store.apply(&key("deployments"), "operator", true, &at("uid", "gone"))), 409);
        let anew = store.apply(&key("deployments"), "operator", true, &json!({"spec": {"selector": {}}})).unwrap();
        assert_eq!(anew["spec"]["replicas"], 1, "without the UID it is made anew, at 1");
    });
}

#[tokio::test(start_paused = true)]
async fn only_a_change_of_the_spec_is_a_generation_and_no_change_is_no_version() {
    server().change(|state| {
        let store = &mut state.store;
        let seen =
            |object: &Value| (object["metadata"]["generation"].clone(), object["metadata"]["resourceVersion"].clone());
        let first = seen(&made(store));
        let mut merge = |part, body: Value| seen(&store.merge(&key("deployments"), part, "somebody", &body).unwrap());
        assert_eq!(merge(Part::Main, json!({"spec": {"replicas": 0}})), first);
        let status = merge(Part::Status, json!({"status": {"replicas": 1}, "spec": {"replicas": 9}}));
        assert_eq!((&status.0, status.1 != first.1), (&json!(1), true));
        assert_eq!(merge(Part::Main, json!({"status": {"replicas": 2}})), status, "the status has a way of its own");
        assert_eq!(merge(Part::Scale, json!({"spec": {"replicas": 2, "paused": true}})).0, json!(2));
        assert_eq!(store.get(&key("deployments")).unwrap()["spec"]["paused"], Value::Null);
    });
}

#[tokio::test(start_paused = true)]
async fn a_watch_tells_of_what_is_selected_and_of_its_own_end() {
    let server = server();
    let api: Api<Service> = Api::namespaced(client(&server), "shop");
    let body: Service = serde_json::from_value(json!({"metadata": {"name": "a", "labels": {"ours": "1"}}})).unwrap();
    api.create(&PostParams::default(), &body).await.unwrap();
    let listed = api.list(&ListParams::default().labels("ours")).await.unwrap();
    let version = listed.metadata.resource_version.unwrap();
    assert_eq!(listed.items.len(), 1);
    let ours = WatchParams::default().labels("ours");
    let stream = api.watch(&ours, &version).await.unwrap();
    pin_mut!(stream);
    let patch = json!({"metadata": {"labels": {"ours": null}}});
    api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(WatchEvent::Deleted(_)))), "it is selected no longer");

    server.change(|state| state.cut("services"));
    assert!(stream.next().await.is_none());
    let late = api.watch(&ours, &version).await.unwrap();
    pin_mut!(late);
    assert!(matches!(late.next().await, Some(Ok(WatchEvent::Error(gone))) if gone.code == 410));
}
