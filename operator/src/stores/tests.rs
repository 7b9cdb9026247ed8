use std::sync::{Arc, Mutex};

use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    core::DeserializeGuard,
    runtime::{
        reflector::{ObjectRef, store},
        watcher::Event,
    },
};
use serde_json::{Value, json};

use super::{Grouped, Key, follow::Follow, owner};

fn pod(name: &str, function: &str) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "labels": {labels::FUNCTION: function, "team": "a"},
        "annotations": {"big": "x"}, "managedFields": [{"manager": "m"}]}, "spec": {"containers": []}})
}

fn read(value: Value) -> DeserializeGuard<Pod> {
    serde_json::from_value(value).unwrap()
}

struct Watch {
    follow: Follow<Pod>,
    pods: Grouped<Pod>,
    touched: Arc<Mutex<Vec<String>>>,
}

impl Watch {
    fn new() -> Self {
        let (reader, writer) = store();
        let pods = Grouped::new(reader);
        let touched = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&touched);
        let tell = move |pod: &Pod| told.lock().unwrap().push(owner(pod).unwrap().name);
        Self { follow: Follow::new(writer, tell).grouped(&pods), pods, touched }
    }

    fn take(&mut self, event: Event<DeserializeGuard<Pod>>) -> Vec<String> {
        self.follow.take(event);
        let mut touched = std::mem::take(&mut *self.touched.lock().unwrap());
        touched.sort();
        touched
    }

    fn of(&self, function: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .pods
            .of(&Key::new(function).within("shop"))
            .iter()
            .filter_map(|pod| pod.metadata.name.clone())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn changes_and_deletions_touch_the_function() {
    let mut watch = Watch::new();
    assert_eq!(watch.take(Event::Apply(read(pod("a", "f")))), ["f"]);
    assert_eq!(watch.take(Event::Apply(read(pod("b", "f")))), ["f"]);
    assert_eq!(watch.of("f"), ["a", "b"]);
    assert_eq!(watch.take(Event::Apply(read(pod("b", "g")))), ["f", "g"]);
    assert_eq!((watch.of("f"), watch.of("g")), (vec!["a".to_owned()], vec!["b".to_owned()]));
    assert_eq!(watch.take(Event::Delete(read(pod("a", "f")))), ["f"]);
    assert!(watch.of("f").is_empty());
    assert_eq!(watch.take(Event::Delete(read(pod("a", "f")))), Vec::<String>::new());
}

#[test]
fn what_a_new_list_lacks_was_deleted() {
    let mut watch = Watch::new();
    watch.take(Event::Apply(read(pod("a", "f"))));
    watch.take(Event::Apply(read(pod("b", "g"))));
    watch.take(Event::Init);
    watch.take(Event::InitApply(read(pod("b", "g"))));
    assert_eq!(watch.of("f"), ["a"]);
    assert_eq!(watch.take(Event::InitDone), ["f", "g"]);
    assert_eq!((watch.of("f").len(), watch.of("g").len()), (0, 1));
}

#[test]
fn an_object_that_does_not_parse_hides_no_other() {
    let mut watch = Watch::new();
    let mut broken = pod("a", "f");
    broken["spec"] = json!({"containers": "none"});
    watch.take(Event::Init);
    watch.take(Event::InitApply(read(broken.clone())));
    watch.take(Event::InitApply(read(pod("b", "f"))));
    watch.take(Event::InitDone);
    assert_eq!(watch.of("f"), ["b"]);
    let mut changed = broken;
    changed["metadata"]["name"] = json!("b");
    assert_eq!(watch.take(Event::Apply(read(changed))), ["f"]);
    assert!(watch.of("f").is_empty());
}

#[test]
fn what_is_kept_is_small() {
    let mut watch = Watch::new();
    watch.take(Event::Apply(read(pod("a", "f"))));
    let kept = watch.pods.get("shop", "a").unwrap();
    assert_eq!(ObjectRef::from_obj(&*kept), ObjectRef::new("a").within("shop"));
    assert_eq!((kept.spec.is_none(), kept.metadata.managed_fields.is_none()), (true, true));
    assert_eq!(kept.metadata.labels.as_ref().unwrap().len(), 1);
    assert!(kept.metadata.annotations.as_ref().unwrap().is_empty());
}
