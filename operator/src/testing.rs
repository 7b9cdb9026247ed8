//! A small world for tests: stores that are filled by hand, an API server that does what it is told and writes down every
//! request, and fixtures.

pub(crate) mod api;
pub(crate) mod fixtures;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use clap::Parser;
use crds::{Function, Trigger, labels};
use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service, ServiceAccount},
};
use kube::{
    Client, Resource, ResourceExt,
    runtime::{
        reflector::{ObjectRef, Store, store, store::Writer},
        watcher::Event,
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    time::{Instant, advance},
};

use crate::{
    args::Args,
    boost::Refusals,
    context::{Context, Parts, ReadyPods},
    events::Events,
    failure::Verdicts,
    function::{Error, Pass, reconcile},
    leadership::{Leadership, Term},
    metrics::Metrics,
    settings::Settings,
    stores::{Grouped, Prune, Stores, Subscribers},
};
use api::Api;

/// Pods that "the activators" have proved ready; `None` in place of the map: nothing is known.
#[derive(Default)]
pub(crate) struct Probes(pub(crate) Mutex<Option<HashMap<String, bool>>>);

impl ReadyPods for Probes {
    fn ready_pods(&self, _: &str, pod_uids: &[String]) -> Option<usize> {
        let known = self.0.lock().unwrap();
        let known = known.as_ref()?;
        Some(pod_uids.iter().filter(|uid| known.get(*uid).copied().unwrap_or(false)).count())
    }
}

struct Kept<K: Resource<DynamicType = ()> + Clone + 'static> {
    writer: Writer<K>,
    store: Store<K>,
    groups: Option<Grouped<K>>,
}

impl<K: Prune + Resource<DynamicType = ()> + Clone + DeserializeOwned + 'static> Kept<K> {
    fn new() -> Self {
        let (store, mut writer) = store();
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        Self { writer, store, groups: None }
    }

    fn grouped() -> Self {
        let kept = Self::new();
        let groups = Some(Grouped::new(kept.store.clone()));
        Self { groups, ..kept }
    }

    fn fill(&mut self, objects: Vec<K>) {
        let gone: Vec<_> = self.store.state();
        for object in gone {
            self.groups.iter().for_each(|groups| groups.note(&object, false));
            self.writer.apply_watcher_event(&Event::Delete(K::clone(&object)));
        }
        for mut object in objects {
            object.prune();
            self.groups.iter().for_each(|groups| groups.note(&object, true));
            self.writer.apply_watcher_event(&Event::Apply(object));
        }
    }
}

/// The world of one test.
pub(crate) struct World {
    pub(crate) api: Arc<Api>,
    pub(crate) cx: Arc<Context>,
    pub(crate) probes: Arc<Probes>,
    functions: Kept<Function>,
    triggers: Kept<Trigger>,
    deployments: Kept<Deployment>,
    pods: Kept<Pod>,
    services: Kept<Service>,
    service_accounts: Kept<ServiceAccount>,
    term: watch::Sender<Option<Term>>,
    write_events: Option<BoxFuture<'static, ()>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Arc::default())
    }

    /// Another process on the same API server.
    pub(crate) fn restarted(&self) -> Self {
        Self::with(Arc::clone(&self.api))
    }

    fn with(api: Arc<Api>) -> Self {
        let client = Client::new(api::service(&api), "default");
        let (functions, triggers) = (Kept::new(), Kept::new());
        let (deployments, pods) = (Kept::grouped(), Kept::grouped());
        let (services, service_accounts) = (Kept::new(), Kept::new());
        let stores = Stores {
            functions: functions.store.clone(),
            triggers: triggers.store.clone(),
            deployments: deployments.groups.clone().unwrap(),
            pods: pods.groups.clone().unwrap(),
            services: services.store.clone(),
            service_accounts: service_accounts.store.clone(),
            activators: Kept::<Pod>::new().store,
            subscribers: Subscribers::default(),
        };
        let (term, terms) = watch::channel(None);
        let metrics = Metrics::default();
        let leadership = Leadership::fixed(terms);
        let (events, write_events) = Events::new(client.clone(), "operator-0", leadership.clone(), metrics.clone());
        let write_events = Some(write_events.boxed());
        let probes = Arc::new(Probes(Mutex::new(Some(HashMap::new()))));
        let settings = Settings::new(&Args::try_parse_from(["operator", "--runtimes", fixtures::RUNTIMES]).unwrap());
        let parts = Parts { client, stores, settings, events, metrics, leadership };
        let (verdicts, refusals) = (Verdicts::default(), Refusals::default());
        let ready = Arc::clone(&probes) as Arc<dyn ReadyPods>;
        let cx = Arc::new(Context::new(parts, verdicts, refusals, ready));
        let world = Self {
            api,
            cx,
            probes,
            functions,
            triggers,
            deployments,
            pods,
            services,
            service_accounts,
            term,
            write_events,
        };
        world.leads_for(Duration::from_secs(1_000_000));
        world
    }

    /// The term is good for so long.
    pub(crate) fn leads_for(&self, long: Duration) {
        self.term.send_replace(Some(Term { epoch: 1, valid_until: Instant::now() + long }));
    }

    /// Writes Events from now on. They are no part of what a pass must do, so in most tests they only wait.
    pub(crate) fn write_events(&mut self) {
        self.write_events.take().map(tokio::spawn);
    }

    /// Lets the watches catch up with the API server.
    pub(crate) fn sync(&mut self) {
        self.functions.fill(self.api.all("functions"));
        self.triggers.fill(self.api.all("triggers"));
        self.deployments.fill(labelled(self.api.all("deployments")));
        self.pods.fill(labelled(self.api.all("pods")));
        self.services.fill(labelled(self.api.all("services")));
        self.service_accounts.fill(labelled(self.api.all("serviceaccounts")));
    }

    /// One pass over the Function of that name, as the stores have it.
    pub(crate) async fn pass(&self, name: &str) -> Result<Pass, Error> {
        let key = ObjectRef::new(name).within("shop");
        let seen = self.cx.stores.function(&key);
        let function = self.cx.recent.functions.newest(&key, seen, Instant::now()).expect("the Function is there");
        reconcile(function, &self.cx).await
    }

    /// One pass over a Function while the watches have shown nothing but the Function.
    pub(crate) async fn pass_unseen(&mut self, name: &str) -> Pass {
        self.functions.fill(self.api.all("functions"));
        self.pass(name).await.expect("the pass succeeds")
    }

    /// Passes, with the watches caught up before each, until one writes nothing and wants no other soon.
    pub(crate) async fn settle(&mut self, name: &str) {
        for _ in 0..20 {
            self.sync();
            let before = self.api.log().len();
            let pass = self.pass(name).await.expect("the pass succeeds");
            match pass {
                Pass::Done(Some(wait)) if wait <= Duration::from_secs(2) => advance(wait).await,
                _ if self.api.log().len() == before => return,
                _ => {}
            }
        }
        panic!("it does not settle: {:#?}, {:#?}", self.api.log(), self.function(name).status);
    }

    pub(crate) fn function(&self, name: &str) -> Function {
        let all: Vec<Function> = self.api.all("functions");
        all.into_iter().find(|function| function.name_any() == name).expect("the Function is there")
    }

    /// What the activators have proved of a pod.
    pub(crate) fn probed(&self, pod: &str, ready: bool) {
        self.probes.0.lock().unwrap().get_or_insert_default().insert(pod.to_owned(), ready);
    }
}

/// The watches ask for Rouse's objects only.
fn labelled<K: Resource>(objects: Vec<K>) -> Vec<K> {
    objects.into_iter().filter(|object| object.labels().contains_key(labels::FUNCTION)).collect()
}
