//! The API server, as far as wakes are concerned: Deployments with replicas and versions, and patches that it takes, loses
//! or refuses.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::Service;

use super::step::Mood;

/// A Deployment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deployment {
    pub(super) replicas: i32,
    pub(super) version: u64,
    /// A write that raises nothing is in order: nobody can know that it will not.
    pub(super) excused: bool,
}

#[derive(Default)]
pub(super) struct State {
    /// By name.
    pub(super) deployments: HashMap<String, Deployment>,
    pub(super) version: u64,
    pub(super) mood: Option<Mood>,
    /// When a patch was lost or refused last, or was given up.
    pub(super) trouble: Option<Instant>,
    /// Writes that raised nothing, though whoever made them knew that.
    pub(super) needless: Vec<String>,
}

/// The server. Clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Api(Arc<Mutex<State>>);

impl Api {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Sets a Deployment's replicas: its next version.
    pub(super) fn set(&self, name: &str, replicas: i32) -> Deployment {
        self.lock().set(name, replicas)
    }
}

impl State {
    fn set(&mut self, name: &str, replicas: i32) -> Deployment {
        self.version += 1;
        let deployment = Deployment { replicas, version: self.version, excused: false };
        self.deployments.insert(name.to_owned(), deployment);
        deployment
    }

    /// The answer to a patch; none if it is lost on the way.
    fn patch(&mut self, name: &str, replicas: i32) -> Option<Response<Body>> {
        let mood = self.mood.unwrap_or(Mood::Well);
        let before = self.deployments.get(name).copied();
        if mood != Mood::Well || before.is_none() {
            self.trouble = Some(Instant::now());
        }
        let (Some(before), Mood::Well | Mood::Silent) = (before, mood) else {
            let code = if let Mood::Bad(code) = mood { code } else { 404 };
            return Some(refusal(code));
        };
        if replicas <= before.replicas && !before.excused {
            self.needless.push(format!("{name} to {replicas}, as it is"));
        }
        let after = self.set(name, replicas);
        if mood == Mood::Silent {
            self.deployments.get_mut(name)?.excused = true;
            return None;
        }
        let metadata = json!({"name": name, "resourceVersion": after.version.to_string()});
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}});
        Some(Response::new(Body::from(scale.to_string().into_bytes())))
    }
}

fn refusal(code: u16) -> Response<Body> {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": "", "code": code});
    Response::builder().status(code).body(Body::from(status.to_string().into_bytes())).unwrap()
}

/// Who waits for an answer that is lost learns of it at its own deadline, however far the script moves the clock at once.
struct GivenUp(Api);

impl Drop for GivenUp {
    fn drop(&mut self) {
        self.0.lock().trouble = Some(Instant::now());
    }
}

impl Service<Request<Body>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            let name = request.uri().path().split('/').nth_back(1).unwrap().to_owned();
            let body: Value = serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
            let replicas = i32::try_from(body["spec"]["replicas"].as_i64().unwrap()).unwrap();
            let answer = api.lock().patch(&name, replicas);
            match answer {
                Some(answer) => Ok(answer),
                None => {
                    let _given_up = GivenUp(api);
                    pending().await
                }
            }
        })
    }
}
