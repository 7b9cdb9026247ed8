//! An API server on a host of its own: lists, watches with a history that can be cut short, and the patch of `/scale`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::watch;
use turmoil::Sim;
use turmoil::net::TcpListener;

pub(super) const PORT: u16 = 6443;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// The cluster, as the test has it in its hands. Clones are the same one.
#[derive(Clone)]
pub(super) struct Cluster {
    state: Arc<Mutex<State>>,
    /// Rung after every change, with the number of times that the watches were cut.
    news: watch::Sender<u32>,
}

/// How lists are answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Lists {
    #[default]
    Well,
    /// With an error.
    Failed,
    /// With the first half of the answer.
    Torn,
    /// Well, but for what should be in them.
    Empty,
}

#[derive(Default)]
pub(super) struct State {
    version: u64,
    /// By kind, as in the path, and name.
    objects: BTreeMap<(&'static str, String), Value>,
    history: Vec<Event>,
    /// Events up to this one are forgotten.
    compacted: u64,
    pub(super) lists: Lists,
    /// Lists that were asked for.
    pub(super) listed: u32,
    /// Patches are taken, and nobody hears of it.
    pub(super) mute: bool,
    /// Every patch that came: which Deployment, to how many.
    pub(super) patches: Vec<(String, i64)>,
}

struct Event {
    version: u64,
    kind: &'static str,
    what: &'static str,
    object: Value,
}

const KINDS: [(&str, &str, &str); 4] = [
    ("functions", "rouse.dev/v1alpha1", "Function"),
    ("triggers", "rouse.dev/v1alpha1", "Trigger"),
    ("deployments", "apps/v1", "Deployment"),
    ("pods", "v1", "Pod"),
];

impl Cluster {
    pub(super) fn host(sim: &mut Sim<'static>, name: &'static str) -> Self {
        let this = Self { state: Arc::default(), news: watch::Sender::new(0) };
        let cluster = this.clone();
        sim.host(name, move || serve(cluster.clone()));
        this
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Adds or changes an object.
    pub(super) fn put(&self, kind: &'static str, object: Value) {
        self.lock().put(kind, object);
        self.news.send_modify(|_| {});
    }

    pub(super) fn delete(&self, kind: &'static str, name: &str) {
        let mut state = self.lock();
        if let Some(object) = state.objects.remove(&(kind, name.to_owned())) {
            state.record(kind, "DELETED", object);
        }
        drop(state);
        self.news.send_modify(|_| {});
    }

    /// Ends every watch.
    pub(super) fn cut(&self) {
        self.news.send_modify(|cuts| *cuts += 1);
    }

    /// Forgets what has happened so far: who asks for it gets 410.
    pub(super) fn compact(&self) {
        let mut state = self.lock();
        state.version += 1;
        state.compacted = state.version;
        state.history.clear();
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let path = request.uri().path().to_owned();
        let last = path.rsplit('/').next().unwrap_or_default().to_owned();
        if request.method() == Method::PATCH {
            let name = path.split('/').nth_back(1).unwrap().to_owned();
            let patch: Value =
                serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
            let scale = self.scale(&name, patch["spec"]["replicas"].as_i64().unwrap());
            self.news.send_modify(|_| {});
            if self.lock().mute {
                std::future::pending::<()>().await;
            }
            return Ok(scale);
        }
        let Some(kind) = KINDS.into_iter().find(|(plural, ..)| *plural == last) else {
            return Ok(status(404));
        };
        let query = request.uri().query().unwrap_or_default();
        let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        match value("watch") {
            Some(_) => Ok(self.watch(kind.0, value("resourceVersion").unwrap_or_default().parse().unwrap_or(0))),
            None => Ok(self.list(kind)),
        }
    }

    fn scale(&self, name: &str, replicas: i64) -> Response<Body> {
        let mut state = self.lock();
        state.patches.push((name.to_owned(), replicas));
        let Some(mut object) = state.objects.get(&("deployments", name.to_owned())).cloned() else {
            return status(404);
        };
        object["spec"]["replicas"] = json!(replicas);
        state.put("deployments", object);
        let version = state.version.to_string();
        let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale",
            "metadata": {"name": name, "namespace": "shop", "resourceVersion": version}, "spec": {"replicas": replicas}});
        reply(200, scale.to_string())
    }

    fn list(&self, (plural, version, kind): (&str, &str, &str)) -> Response<Body> {
        let mut state = self.lock();
        state.listed += 1;
        let empty = state.lists == Lists::Empty;
        let own = state.objects.iter().filter(|((kind, _), _)| *kind == plural && !empty);
        let items: Vec<_> = own.map(|(_, object)| object.clone()).collect();
        let list = json!({"apiVersion": version, "kind": format!("{kind}List"),
            "metadata": {"resourceVersion": state.version.to_string()}, "items": items})
        .to_string();
        match state.lists {
            Lists::Well | Lists::Empty => reply(200, list),
            Lists::Failed => status(500),
            Lists::Torn => reply(200, list[..list.len() / 2].to_owned()),
        }
    }

    /// What has happened after this version, and what happens from now on.
    fn watch(&self, kind: &'static str, mut seen: u64) -> Response<Body> {
        let (cluster, mut news) = (self.clone(), self.news.subscribe());
        let cuts = *news.borrow_and_update();
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, Infallible>::new(16);
        tokio::spawn(async move {
            loop {
                let lines = cluster.lock().since(kind, &mut seen);
                for line in lines {
                    if sender.send_data(line.into()).await.is_err() {
                        return;
                    }
                }
                if news.changed().await.is_err() || *news.borrow() != cuts {
                    return;
                }
            }
        });
        Response::new(body.boxed_unsync())
    }
}

impl State {
    fn put(&mut self, kind: &'static str, mut object: Value) {
        let (_, version, name) = KINDS.into_iter().find(|(plural, ..)| *plural == kind).unwrap();
        (object["apiVersion"], object["kind"]) = (json!(version), json!(name));
        object["metadata"]["resourceVersion"] = json!((self.version + 1).to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let known = self.objects.insert((kind, name), object.clone()).is_some();
        self.record(kind, if known { "MODIFIED" } else { "ADDED" }, object);
    }

    fn record(&mut self, kind: &'static str, what: &'static str, object: Value) {
        self.version += 1;
        self.history.push(Event { version: self.version, kind, what, object });
    }

    fn since(&self, kind: &str, seen: &mut u64) -> Vec<String> {
        if *seen < self.compacted {
            *seen = u64::MAX;
            let gone = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "too old",
                "reason": "Expired", "code": 410});
            return vec![format!("{}\n", json!({"type": "ERROR", "object": gone}))];
        }
        let news = self.history.iter().filter(|event| event.kind == kind && event.version > *seen);
        let lines = news.map(|event| format!("{}\n", json!({"type": event.what, "object": event.object}))).collect();
        *seen = (*seen).max(self.version);
        lines
    }
}

fn reply(code: u16, text: String) -> Response<Body> {
    let response = Response::builder().status(StatusCode::from_u16(code).unwrap());
    response.header("content-type", "application/json").body(Full::new(Bytes::from(text)).boxed_unsync()).unwrap()
}

fn status(code: u16) -> Response<Body> {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "reason": "", "code": code});
    reply(code, status.to_string())
}

async fn serve(cluster: Cluster) -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let cluster = cluster.clone();
        let service = service_fn(move |request| cluster.clone().answer(request));
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
