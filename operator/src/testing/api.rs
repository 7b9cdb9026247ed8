//! An API server in memory: just enough of creation, server-side apply, JSON Patch, deletion and lists. Every request is
//! written down, so that a test can say what was asked, in which order, and that nothing else was.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::Service;

/// Objects by plural and name (all in one namespace), answers to give instead, and the log.
#[derive(Default)]
pub(crate) struct Api {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<(String, String), Value>,
    refusals: Vec<(String, u16, String)>,
    webhooks: BTreeMap<(String, String), Value>,
    log: Vec<String>,
    version: u64,
}

/// The service for a `kube::Client`.
pub(crate) fn service(
    api: &Arc<Api>,
) -> impl Service<Request<Body>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Send + use<> {
    let api = Arc::clone(api);
    tower::service_fn(move |request: Request<Body>| {
        let api = Arc::clone(&api);
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let body: Value = serde_json::from_slice(&body).unwrap_or_default();
            let kind = parts.headers.get("content-type").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            let (code, answer) =
                api.answer(&parts.method, parts.uri.path(), parts.uri.query().unwrap_or_default(), &kind, &body);
            let bytes = Bytes::from(answer.to_string());
            Ok(Response::builder().status(code).body(Full::new(bytes)).unwrap())
        }
    })
}

impl Api {
    /// Puts an object there, as a user would, or Kubernetes.
    pub(crate) fn put(&self, plural: &str, object: Value) {
        let mut state = self.state.lock().unwrap();
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let object = state.versioned(object);
        state.objects.insert((plural.to_owned(), name), object);
    }

    /// Merges a patch into an object that is there.
    pub(crate) fn change(&self, plural: &str, name: &str, patch: &Value) {
        let mut state = self.state.lock().unwrap();
        let mut object = state.objects[&(plural.to_owned(), name.to_owned())].clone();
        json_patch::merge(&mut object, patch);
        let object = state.versioned(object);
        state.objects.insert((plural.to_owned(), name.to_owned()), object);
    }

    pub(crate) fn remove(&self, plural: &str, name: &str) {
        self.state.lock().unwrap().objects.remove(&(plural.to_owned(), name.to_owned()));
    }

    pub(crate) fn get(&self, plural: &str, name: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(&(plural.to_owned(), name.to_owned())).cloned()
    }

    /// Every object of a kind.
    pub(crate) fn all<K: DeserializeOwned>(&self, plural: &str) -> Vec<K> {
        let state = self.state.lock().unwrap();
        let objects = state.objects.iter().filter(|((kind, _), _)| kind == plural);
        objects.map(|(_, object)| serde_json::from_value(object.clone()).unwrap()).collect()
    }

    /// Answers requests whose log line starts so with an error.
    pub(crate) fn refuse(&self, start: &str, code: u16, message: &str) {
        self.state.lock().unwrap().refusals.push((start.to_owned(), code, message.to_owned()));
    }

    /// Merges this into each apply of the object, as a mutating webhook would.
    pub(crate) fn stick(&self, plural: &str, name: &str, patch: Value) {
        self.state.lock().unwrap().webhooks.insert((plural.to_owned(), name.to_owned()), patch);
    }

    pub(crate) fn relent(&self) {
        self.state.lock().unwrap().refusals.clear();
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    /// The log since the last call.
    pub(crate) fn news(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    fn answer(&self, method: &Method, path: &str, query: &str, kind: &str, body: &Value) -> (u16, Value) {
        let mut state = self.state.lock().unwrap();
        let mut parts: Vec<&str> = path.split("/namespaces/shop/").nth(1).unwrap_or_default().split('/').collect();
        let sub = (parts.last() == Some(&"status")).then(|| parts.pop()).flatten();
        let plural = parts[0].to_owned();
        let name = parts.get(1).map_or_else(|| text(&body["metadata"]["name"]), ToString::to_string);
        let verb = match (method, kind) {
            (&Method::POST, _) => "create",
            (&Method::PATCH, "application/apply-patch+yaml") => "apply",
            (&Method::PATCH, "application/json-patch+json") => "patch",
            (&Method::PATCH, "application/merge-patch+json") => "merge",
            (&Method::DELETE, _) => "delete",
            (&Method::GET, _) if parts.len() == 1 => "list",
            (&Method::GET, _) => "get",
            _ => "UNEXPECTED",
        };
        let line = [verb, &plural, &name, sub.unwrap_or_default()].into_iter().filter(|word| !word.is_empty());
        let line = line.collect::<Vec<_>>().join(" ");
        state.log.push(line.clone());
        if let Some((_, code, message)) = state.refusals.iter().find(|(start, ..)| line.starts_with(start)) {
            return error(*code, message);
        }
        let key = (plural, name);
        let (code, answer) = match verb {
            "create" => state.create(key, query, body),
            "apply" => state.apply(key, query, body),
            "patch" => state.patch(key, sub, body),
            "merge" if path.starts_with("/apis/events.k8s.io/") => error(403, "no right in this group"),
            "merge" => state.merge(key, body),
            "delete" => state.delete(&key, body),
            "list" => {
                (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": state.list(&key.0, query)}))
            }
            "get" => state.objects.get(&key).map_or_else(|| error(404, "not found"), |object| (200, object.clone())),
            _ => error(500, "unexpected"),
        };
        drop(state);
        (code, answer)
    }
}

impl State {
    fn versioned(&mut self, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!((1000 + self.version).to_string());
        object
    }

    fn create(&mut self, key: (String, String), query: &str, body: &Value) -> (u16, Value) {
        if self.objects.contains_key(&key) {
            return error(409, "already exists");
        }
        if key.0 != "events" && !query.contains("fieldManager=rouse-create") {
            return error(400, "created by another field manager");
        }
        let mut object = self.versioned(body.clone());
        object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        self.objects.insert(key, object.clone());
        (201, object)
    }

    fn apply(&mut self, key: (String, String), query: &str, body: &Value) -> (u16, Value) {
        let Some(mut object) = self.objects.get(&key).cloned() else { return error(409, "uid mismatch: no object") };
        if body["metadata"]["uid"] != object["metadata"]["uid"] {
            return error(409, "uid mismatch");
        }
        if !body["spec"]["replicas"].is_null() || !query.contains("fieldManager=rouse-operator") {
            return error(400, "an apply must not name replicas");
        }
        json_patch::merge(&mut object, body);
        if let Some(patch) = self.webhooks.get(&key) {
            json_patch::merge(&mut object, patch);
        }
        if self.objects.get(&key) != Some(&object) {
            object = self.versioned(object);
        }
        self.objects.insert(key, object.clone());
        (200, object)
    }

    fn patch(&mut self, key: (String, String), sub: Option<&str>, body: &Value) -> (u16, Value) {
        let Some(mut object) = self.objects.get(&key).cloned() else { return error(404, "not found") };
        for operation in body.as_array().unwrap() {
            let pointer = text(&operation["path"]);
            if sub.is_some() && pointer != "/status" && operation["op"] != "test" {
                return error(400, "not the status");
            }
            if operation["op"] == "test" {
                if object.pointer(&pointer) != Some(&operation["value"]) {
                    return error(422, "test failed");
                }
                continue;
            }
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[field.replace("~1", "/")] = operation["value"].clone();
        }
        let object = self.versioned(object);
        self.objects.insert(key, object.clone());
        (200, object)
    }

    fn merge(&mut self, key: (String, String), body: &Value) -> (u16, Value) {
        let Some(mut object) = self.objects.get(&key).cloned() else { return error(404, "not found") };
        json_patch::merge(&mut object, body);
        let object = self.versioned(object);
        self.objects.insert(key, object.clone());
        (200, object)
    }

    fn delete(&mut self, key: &(String, String), body: &Value) -> (u16, Value) {
        let Some(object) = self.objects.get(key) else { return error(404, "not found") };
        for field in ["uid", "resourceVersion"] {
            if body["preconditions"][field] != object["metadata"][field] {
                return error(409, "precondition failed");
            }
        }
        self.objects.remove(key);
        (200, json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
    }

    fn list(&self, plural: &str, query: &str) -> Vec<Value> {
        let uid = query.split("involvedObject.uid%3D").nth(1).map(|rest| rest.split('&').next().unwrap_or_default());
        let objects = self.objects.iter().filter(|((kind, _), _)| kind == plural).map(|(_, object)| object);
        objects.filter(|o| uid.is_none_or(|uid| o["involvedObject"]["uid"] == uid)).cloned().collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn error(code: u16, message: &str) -> (u16, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        422 => "Invalid",
        _ => "",
    };
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    (code, status)
}
