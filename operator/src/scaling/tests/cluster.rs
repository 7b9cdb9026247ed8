//! A cluster in memory: stores that are filled by hand, and an API server with Deployments, one Lease and TokenReviews
//! that writes every request down and refuses what it does not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use crds::{Function, labels, names};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Client, Resource,
    client::Body,
    runtime::{
        reflector::{ObjectRef, store, store::Writer},
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::stores::{BOOSTED, Grouped, Key, Prune, Stores, Subscribers};

/// Clones are the same cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) stores: Stores,
    writers: Arc<Mutex<Writers>>,
    api: Arc<Mutex<Api>>,
}

struct Writers {
    functions: Writer<Function>,
    deployments: Writer<Deployment>,
    pods: Writer<Pod>,
    activators: Writer<Pod>,
}

/// Gets the name of a Deployment.
type OnLowering = Box<dyn FnMut(&str) + Send>;

/// What the API server holds, and how it behaves.
pub(crate) struct Api {
    pub(crate) deployments: BTreeMap<String, Value>,
    pub(crate) lease: Value,
    /// Answers to TokenReviews, by token.
    pub(crate) tokens: BTreeMap<String, Value>,
    /// One line a request.
    pub(crate) log: Vec<String>,
    /// Somebody else raises a Deployment between its next read and its next write.
    pub(crate) raise_after_read: bool,
    /// Happens while the next read is answered. It must not touch the API server.
    pub(crate) on_read: Option<Box<dyn FnOnce() + Send>>,
    /// Writes to `/scale` are taken and never answered.
    pub(crate) hang: bool,
    /// Writes to `/scale` are refused.
    pub(crate) refuse: bool,
    /// The answer to resizes of pods; 200 = they are carried out.
    pub(crate) resize: u16,
    /// The answer to annotations of pods; 200 = they are taken.
    pub(crate) annotate: u16,
    /// A webhook takes them out again.
    pub(crate) undo: bool,
    /// How long each request is on its way, and each answer.
    pub(crate) delay: Duration,
    /// How much longer a write is on its way.
    pub(crate) write_delay: Duration,
    /// Happens at each write that lowers a Deployment, with its name. It must not touch the API server.
    pub(crate) on_lowering: Option<OnLowering>,
    version: u64,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let (functions, function_writer) = listed();
        let (deployments, deployment_writer) = listed();
        let (pods, pod_writer) = listed();
        let (activators, activator_writer) = listed();
        let stores = Stores {
            functions,
            triggers: listed().0,
            deployments: Grouped::new(deployments),
            pods: Grouped::new(pods),
            services: listed().0,
            service_accounts: listed().0,
            activators,
            subscribers: Subscribers::default(),
        };
        let writers = Writers {
            functions: function_writer,
            deployments: deployment_writer,
            pods: pod_writer,
            activators: activator_writer,
        };
        let api = Api {
            deployments: BTreeMap::new(),
            lease: json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": names::LEASE, "namespace": "rouse-system", "resourceVersion": "1"},
                "spec": {},
            }),
            tokens: BTreeMap::new(),
            log: Vec::new(),
            raise_after_read: false,
            on_read: None,
            hang: false,
            refuse: false,
            resize: 200,
            annotate: 200,
            undo: false,
            delay: Duration::ZERO,
            write_delay: Duration::ZERO,
            on_lowering: None,
            version: 100,
        };
        Self { stores, writers: Arc::new(Mutex::new(writers)), api: Arc::new(Mutex::new(api)) }
    }

    pub(crate) fn api(&self) -> MutexGuard<'_, Api> {
        self.api.lock().unwrap()
    }

    /// The requests since the last call.
    pub(crate) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.api().log)
    }

    pub(crate) fn client(&self) -> Client {
        let api = Arc::clone(&self.api);
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = Arc::clone(&api);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                let (delay, write_delay) = {
                    let api = api.lock().unwrap();
                    (api.delay, if head.method == Method::PATCH { api.write_delay } else { Duration::ZERO })
                };
                late(delay + write_delay).await;
                let answer = api.lock().unwrap().answer(&head.method, head.uri.path(), &body);
                late(delay).await;
                let Some((code, answer)) = answer else { return std::future::pending().await };
                let bytes = Bytes::from(answer.to_string());
                Ok::<_, Infallible>(Response::builder().status(code).body(Full::new(bytes)).unwrap())
            }
        });
        Client::new(service, "default")
    }

    pub(crate) fn function(&self, object: Value) {
        let object: Function = parse(object);
        let key = ObjectRef::from_obj(&object);
        self.writers.lock().unwrap().functions.apply_watcher_event(&Event::Apply(object));
        self.stores.subscribers.touched(&key);
    }

    /// Puts a Deployment into the store and into the API server.
    pub(crate) fn deployment(&self, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        self.api().deployments.insert(name, object.clone());
        self.show(object);
    }

    /// The store catches up with the API server.
    pub(crate) fn sync(&self) {
        let all: Vec<Value> = self.api().deployments.values().cloned().collect();
        all.into_iter().for_each(|deployment| self.show(deployment));
    }

    fn show(&self, object: Value) {
        let object: Deployment = parse(object);
        self.stores.deployments.note(&object, true);
        let key = owner(&object);
        self.writers.lock().unwrap().deployments.apply_watcher_event(&Event::Apply(object));
        self.stores.subscribers.touched(&key);
    }

    pub(crate) fn pod(&self, object: Value) {
        let object: Pod = parse(object);
        self.stores.pods.note(&object, true);
        let key = owner(&object);
        self.writers.lock().unwrap().pods.apply_watcher_event(&Event::Apply(object));
        self.stores.subscribers.touched(&key);
    }

    pub(crate) fn remove_pods(&self) {
        for object in self.stores.pods.store().state() {
            self.remove(&object);
        }
    }

    /// One pod is gone.
    pub(crate) fn remove_pod(&self, uid: &str) {
        for object in self.stores.pods.store().state() {
            if object.metadata.uid.as_deref() == Some(uid) {
                self.remove(&object);
            }
        }
    }

    fn remove(&self, object: &Pod) {
        self.stores.pods.note(object, false);
        let key = owner(object);
        self.writers.lock().unwrap().pods.apply_watcher_event(&Event::Delete(object.clone()));
        self.stores.subscribers.touched(&key);
    }

    /// An activator's pod is not Ready any more: its node is lost.
    pub(crate) fn activator_lost(&self, name: &str) {
        let object = parse(activator(name, "False"));
        self.writers.lock().unwrap().activators.apply_watcher_event(&Event::Apply(object));
    }

    /// It is deleted.
    pub(crate) fn activator_gone(&self, name: &str) {
        let object = parse(activator(name, "False"));
        self.writers.lock().unwrap().activators.apply_watcher_event(&Event::Delete(object));
    }

    /// An activator's pod, Ready. Its token is `token-NAME`.
    pub(crate) fn activator(&self, name: &str) {
        let object = parse(activator(name, "True"));
        self.writers.lock().unwrap().activators.apply_watcher_event(&Event::Apply(object));
        let extra = json!({
            "authentication.kubernetes.io/pod-name": [name],
            "authentication.kubernetes.io/pod-uid": [format!("uid-{name}")],
        });
        let user = json!({"username": "system:serviceaccount:rouse-system:rouse-activator", "extra": extra});
        let review = json!({"authenticated": true, "audiences": [names::LINK_AUDIENCE], "user": user});
        self.api().tokens.insert(format!("token-{name}"), review);
    }

    /// Replicas that are wanted of a Deployment, by the API server.
    pub(crate) fn replicas(&self, name: &str) -> i64 {
        self.api().deployments[name]["spec"]["replicas"].as_i64().unwrap()
    }
}

impl Api {
    /// `None`: no answer at all.
    fn answer(&mut self, method: &Method, path: &str, body: &Value) -> Option<(u16, Value)> {
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::POST, ["apis", "authentication.k8s.io", "v1", "tokenreviews"]) => {
                self.log.push("review".to_owned());
                let token = body["spec"]["token"].as_str().unwrap_or_default();
                assert_eq!(body["spec"]["audiences"], json!([names::LINK_AUDIENCE]));
                let status = self.tokens.get(token).cloned().unwrap_or_else(|| json!({"authenticated": false}));
                Some((201, json!({"metadata": {}, "spec": {}, "status": status})))
            }
            (&Method::GET, [.., "namespaces", "shop", "deployments", name]) => {
                self.log.push(format!("read {name}"));
                let Some(deployment) = self.deployments.get(*name).cloned() else {
                    return Some(error(404, "NotFound"));
                };
                if let Some(happens) = self.on_read.take() {
                    happens();
                }
                if std::mem::take(&mut self.raise_after_read) {
                    self.scale(name, 5);
                }
                Some((200, deployment))
            }
            (&Method::PATCH, [.., "namespaces", "shop", "deployments", name, "scale"]) => self.write(name, body),
            (&Method::PATCH, [.., "namespaces", "shop", "pods", name, "resize"]) => {
                let containers = &body["spec"]["containers"];
                let cpu = containers[0]["resources"]["limits"]["cpu"].as_str().expect("a resize names the CPU limit");
                let only = json!([{"name": names::CONTAINER, "resources": {"limits": {"cpu": cpu}}}]);
                assert_eq!(*body, json!({"metadata": {"uid": name}, "spec": {"containers": only}}), "and nothing else");
                self.log.push(format!("resize {name} to {cpu}"));
                Some(match self.resize {
                    200 => (200, pod(name, "f-1")),
                    code => error(code, "NotNow"),
                })
            }
            (&Method::PATCH, [.., "namespaces", "shop", "pods", name]) => {
                assert_eq!(body["metadata"]["uid"], json!(name), "another pod of that name is not meant");
                let cost = &body["metadata"]["annotations"][labels::POD_DELETION_COST];
                self.log.push(format!("{} {name}", if cost.is_null() { "unmark" } else { "mark" }));
                let mut answer = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"});
                json_patch::merge(&mut answer["metadata"], &pod(name, "f-1")["metadata"]);
                if !self.undo {
                    json_patch::merge(&mut answer["metadata"], &body["metadata"]);
                }
                Some(if self.annotate == 200 { (200, answer) } else { error(self.annotate, "NotNow") })
            }
            (&Method::POST, [.., "namespaces", "shop", "events"]) => {
                let text = |field: &str| body[field].as_str().unwrap_or_default().to_owned();
                self.log.push(format!("event {}: {}", text("reason"), text("message")));
                Some((201, body.clone()))
            }
            (&Method::PATCH, [.., "namespaces", "shop", "events", name]) => {
                self.log.push(format!("event again: {}", body["message"].as_str().unwrap_or_default()));
                Some((200, json!({"metadata": {"name": name}, "involvedObject": {}})))
            }
            (&Method::GET, [.., "leases", names::LEASE]) => Some((200, self.lease.clone())),
            (&Method::PATCH, [.., "leases", names::LEASE]) => {
                let wanted = &body["metadata"]["resourceVersion"];
                if !wanted.is_null() && *wanted != self.lease["metadata"]["resourceVersion"] {
                    return Some(error(409, "Conflict"));
                }
                self.version += 1;
                json_patch::merge(&mut self.lease, body);
                self.lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
                self.log.push(format!("lease {}", keys(body)));
                Some((200, self.lease.clone()))
            }
            _ => panic!("an unexpected request: {method} {path}"),
        }
    }

    fn write(&mut self, name: &str, body: &Value) -> Option<(u16, Value)> {
        let replicas = body["spec"]["replicas"].as_i64().expect("a write names replicas");
        let version = body["metadata"]["resourceVersion"].as_str().expect("a write has a condition").to_owned();
        let Some(deployment) = self.deployments.get(name) else { return Some(error(404, "NotFound")) };
        let matches = deployment["metadata"]["resourceVersion"] == json!(version);
        if self.hang {
            self.log.push(format!("scale {name} to {replicas}: no answer"));
            return None;
        }
        if self.refuse {
            self.log.push(format!("scale {name} to {replicas}: refused"));
            return Some(error(403, "Forbidden"));
        }
        if !matches {
            self.log.push(format!("scale {name} to {replicas}: conflict"));
            return Some(error(409, "Conflict"));
        }
        self.log.push(format!("scale {name} to {replicas}"));
        let lowers = deployment["spec"]["replicas"].as_i64().is_some_and(|before| replicas < before);
        if let Some(happens) = self.on_lowering.as_mut().filter(|_| lowers) {
            happens(name);
        }
        self.scale(name, replicas);
        let metadata = self.deployments[name]["metadata"].clone();
        Some((200, json!({"metadata": metadata, "spec": {"replicas": replicas}})))
    }

    /// Somebody sets the replicas.
    pub(crate) fn scale(&mut self, name: &str, replicas: i64) {
        self.version += 1;
        let deployment = self.deployments.get_mut(name).unwrap();
        deployment["spec"]["replicas"] = json!(replicas);
        deployment["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let generation = deployment["metadata"]["generation"].as_i64().unwrap();
        deployment["metadata"]["generation"] = json!(generation + 1);
    }
}

async fn late(by: Duration) {
    if !by.is_zero() {
        sleep(by).await;
    }
}

fn listed<K>() -> (kube::runtime::reflector::Store<K>, Writer<K>)
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    let (store, mut writer) = store();
    writer.apply_watcher_event(&Event::Init);
    writer.apply_watcher_event(&Event::InitDone);
    (store, writer)
}

fn owner<K: Resource>(object: &K) -> Key {
    crate::stores::owner(object).expect("it belongs to a Function")
}

/// As the real stores keep it.
fn parse<K: Prune + Resource<DynamicType = ()> + DeserializeOwned>(mut object: Value) -> K {
    object["apiVersion"] = json!(K::api_version(&()));
    object["kind"] = json!(K::kind(&()));
    let mut object: K = serde_json::from_value(object).unwrap();
    object.prune();
    object
}

fn error(code: u16, reason: &str) -> (u16, Value) {
    (code, json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": reason}))
}

fn keys(body: &Value) -> String {
    let keys =
        |part: &str| body[part].as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect::<BTreeSet<_>>();
    keys("metadata").into_iter().chain(keys("spec")).collect::<Vec<_>>().join(" ")
}

fn activator(name: &str, ready: &str) -> Value {
    let status = json!({
        "phase": "Running", "podIP": "10.0.0.9", "conditions": [{"type": "Ready", "status": ready}],
    });
    let metadata = json!({"name": name, "namespace": "rouse-system", "uid": format!("uid-{name}")});
    json!({"metadata": metadata, "status": status})
}

/// A Deployment of the Function `f`.
pub(crate) fn deployment(name: &str, replicas: i32) -> Value {
    let labels = json!({labels::FUNCTION: "f", labels::REVISION: name, labels::FUNCTION_UID: "uf"});
    json!({
        "metadata": {
            "name": name, "namespace": "shop", "uid": format!("d-{name}"), "generation": 4, "resourceVersion": "40",
            "labels": labels,
        },
        "spec": {
            "replicas": replicas, "selector": {},
            "template": {"spec": {"containers": [], "terminationGracePeriodSeconds": 32}},
        },
    })
}

/// A pod of one of its revisions.
pub(crate) fn pod(uid: &str, revision: &str) -> Value {
    let labels = json!({labels::FUNCTION: "f", labels::REVISION: revision, labels::FUNCTION_UID: "uf"});
    json!({
        "metadata": {"name": uid, "namespace": "shop", "uid": uid, "labels": labels},
        "status": {"phase": "Running"},
    })
}

/// The same, with the higher CPU limit of its start; `own` is what it is to have.
pub(crate) fn boosted(uid: &str, revision: &str, own: &str) -> Value {
    let mut pod = pod(uid, revision);
    pod["metadata"]["annotations"] = json!({labels::CPU_LIMIT: own, BOOSTED: ""});
    pod
}

/// The Function `f`, with a window of 10 s.
pub(crate) fn function(serving: &str) -> Value {
    json!({
        "metadata": {"name": "f", "namespace": "shop", "uid": "uf"},
        "spec": {"image": "a", "scaling": {"windowSeconds": 10}},
        "status": {"revision": serving},
    })
}
