//! Kubernetes' own controllers, as far as the operator depends on them: pods of Deployments, their starts and ends, and
//! the garbage collector. There is no ReplicaSet: a pod belongs to its Deployment.

use std::{
    collections::{HashMap, HashSet, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use crate::server::{FOREGROUND, Key, Part, Server, Store, kind};

/// Between a change and what follows from it.
const DELAY: Duration = Duration::from_millis(20);
/// Between two looks at what only time will change.
const TICK: Duration = Duration::from_millis(100);
/// From a pod's creation to its container.
const START: Duration = Duration::from_millis(300);
/// From a pod's deletion to its end.
const END: Duration = Duration::from_millis(1500);
/// From an owner's deletion to that of what belonged to it.
const COLLECT: Duration = Duration::from_millis(500);
/// An image with this in its name cannot be pulled.
pub(crate) const BROKEN: &str = "broken";
/// Label that tells pods of different templates apart.
const TEMPLATE: &str = "pod-template-hash";

/// Runs for ever.
pub(crate) async fn run(server: Arc<Server>) {
    let mut changes = server.changes();
    let mut clock = Clock::default();
    loop {
        changes.mark_unchanged();
        let busy = server.control(|store| pass(store, &mut clock));
        if let Some(until) = server.see(|state| state.squatter.as_ref().map(|(_, until)| *until)) {
            sleep_until(until).await;
            server.leave();
        } else if busy {
            sleep(TICK).await;
        } else if changes.changed().await.is_err() {
            return;
        }
        sleep(DELAY).await;
    }
}

/// Since when what is known of an object.
#[derive(Default)]
struct Clock(HashMap<(String, &'static str), Instant>);

impl Clock {
    /// Whether it has been so for that long.
    fn is(&mut self, object: &Value, what: &'static str, long: Duration) -> bool {
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        self.0.entry((uid, what)).or_insert_with(Instant::now).elapsed() >= long
    }
}

/// One look at everything; whether time alone will change something.
fn pass(store: &mut Store, clock: &mut Clock) -> bool {
    let mut busy = collect(store, clock);
    for (key, deployment) in store.all("deployments") {
        deploy(store, &key, &deployment);
    }
    for (key, pod) in store.all("pods") {
        busy |= live(store, clock, &key, &pod);
    }
    busy
}

/// The garbage collector.
fn collect(store: &mut Store, clock: &mut Clock) -> bool {
    let uids: HashSet<String> = store.everything().map(|(_, object)| uid(object)).collect();
    let owners = |object: &Value| -> Vec<String> {
        let list = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        list.map(|owner| owner["uid"].as_str().unwrap_or_default().to_owned()).collect()
    };
    let orphan = |object: &Value| !owners(object).is_empty() && !owners(object).iter().any(|uid| uids.contains(uid));
    let orphans: Vec<(Key, Arc<Value>)> = store
        .everything()
        .filter(|(_, object)| orphan(object))
        .map(|(key, object)| (key.clone(), Arc::clone(object)))
        .collect();
    let mut busy = !orphans.is_empty();
    for (key, object) in orphans {
        if !clock.is(&object, "orphan", COLLECT) {
            continue;
        }
        match key.plural {
            "pods" => store.terminate(&key, false),
            _ => _ = store.delete(&key, &json!({"uid": object["metadata"]["uid"]}), false),
        }
    }
    let held = |object: &Value| object["metadata"]["finalizers"] == json!([FOREGROUND]);
    let going: Vec<(Key, String)> =
        store.everything().filter(|(_, object)| held(object)).map(|(key, object)| (key.clone(), uid(object))).collect();
    for (key, gone) in going {
        let left: Vec<Key> = store
            .everything()
            .filter(|(_, object)| owners(object).contains(&gone))
            .map(|(key, _)| key.clone())
            .collect();
        busy = true;
        if left.is_empty() {
            store.remove(&key);
        }
        left.iter().for_each(|pod| store.terminate(pod, false));
    }
    busy
}

/// The Deployment and ReplicaSet controllers.
fn deploy(store: &mut Store, key: &Key, deployment: &Value) {
    let owner = uid(deployment);
    let template = &deployment["spec"]["template"];
    let mut hasher = DefaultHasher::new();
    template.to_string().hash(&mut hasher);
    let hash = format!("{:016x}", hasher.finish());
    let ours = |pod: &Value| pod["metadata"]["ownerReferences"][0]["uid"] == owner.as_str();
    let mut pods: Vec<(Key, Arc<Value>)> =
        store.all("pods").into_iter().filter(|(_, pod)| ours(pod) && !leaves(pod)).collect();
    if leaves(deployment) {
        return;
    }
    pods.retain(|(pod, object)| {
        let current = object["metadata"]["labels"][TEMPLATE] == hash.as_str();
        if !current {
            store.terminate(pod, false);
        }
        current
    });
    let wanted = usize::try_from(deployment["spec"]["replicas"].as_i64().unwrap_or(1)).unwrap_or(0);
    for (pod, _) in pods.drain(wanted.min(pods.len())..).collect::<Vec<_>>() {
        store.terminate(&pod, false);
    }
    while pods.len() < wanted {
        let name = format!("{}-{}", key.name, store.number());
        let mut metadata = template["metadata"].clone();
        metadata["labels"][TEMPLATE] = json!(hash);
        metadata["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": key.name,
            "uid": owner, "controller": true}]);
        let pod = Key::new(kind("pods").unwrap(), &key.namespace, &name);
        let object = json!({"metadata": metadata, "spec": template["spec"], "status": {"phase": "Pending"}});
        pods.push((pod.clone(), store.create(&pod, object, "kube-controller-manager").unwrap()));
    }
    let ready = pods.iter().filter(|(_, pod)| is_running(pod)).count();
    let status = json!({"observedGeneration": deployment["metadata"]["generation"], "replicas": pods.len(),
        "readyReplicas": ready});
    if deployment["status"] != status {
        let patch = json!({"status": status});
        let _ = store.merge(key, Part::Status, "kube-controller-manager", &patch);
    }
}

/// The kubelet. Whether the pod is on its way to another state.
fn live(store: &mut Store, clock: &mut Clock, key: &Key, pod: &Value) -> bool {
    if leaves(pod) {
        if clock.is(pod, "leaving", END) {
            store.remove(key);
        }
        return true;
    }
    if pod["status"]["phase"] != "Pending" || !pod["status"]["containerStatuses"].is_null() {
        return false;
    }
    if !clock.is(pod, "starting", START) {
        return true;
    }
    let image = pod["spec"]["containers"][0]["image"].as_str().unwrap_or_default();
    let container = |state: Value, ready: bool| json!([{"name": "function", "image": image, "imageID": "", "restartCount": 0, "ready": ready, "state": state}]);
    let scheduled = json!([{"type": "PodScheduled", "status": "True"}]);
    let status = if image.contains(BROKEN) {
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "no such image"}});
        json!({"phase": "Pending", "conditions": scheduled, "containerStatuses": container(waiting, false)})
    } else {
        json!({"phase": "Running", "podIP": "10.0.0.1", "conditions": scheduled,
            "containerStatuses": container(json!({"running": {}}), true)})
    };
    let _ = store.merge(key, Part::Status, "kubelet", &json!({"status": status}));
    false
}

/// Whether a pod's program runs.
pub(crate) fn is_running(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && !leaves(pod)
}

fn leaves(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
