//! What a script acts on.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crds::route::Domains;
use http::HeaderValue;
use kube::Client;
use link::ORDER_VALID;
use link::v1::{Drain, Orders};
use prometheus_client::registry::Registry;
use tokio::task::yield_now;
use tokio::time::Instant;
use tower::{Layer as _, Service as _};

use super::Verdict;
use super::api::Api;
use super::objects::{self, COLD_START, Shown};
use super::request::{Request, Ticks, Turn, Waiting};
use super::rules::{Before, Grant};
use super::step::{Mode, Mood, Script, Settings, Step};
use super::visits::{End, ID, Visits};
use crate::args::Limits;
use crate::function::Function;
use crate::hold::Places;
use crate::index::{Index, Probe};
use crate::link::Beacon;
use crate::metrics::Metrics;
use crate::path::call::Call;
use crate::path::count::{Count, CountLayer};
use crate::path::headers;
use crate::path::hold::{Hold, HoldLayer};
use crate::pods::Pod;
use crate::routes::Table;
use crate::server::Peer;
use crate::wake::Waker;

const NAMESPACES: [&str; 2] = ["shop", "lab"];

/// A function by its place in [`NAMESPACES`], as it is now.
pub(super) struct Place {
    pub(super) uid: String,
    pub(super) revision: String,
    pub(super) settings: Settings,
    /// None after it was deleted.
    pub(super) function: Option<Arc<Function>>,
    /// Pods that the leader has drained.
    drained: Vec<String>,
}

pub(super) struct OnePod {
    place: usize,
    function_uid: String,
    revision: String,
    address: u16,
    leaving: bool,
    crashed: bool,
    gone: bool,
    pub(super) probe: Probe,
}

/// What has been, for a function's UID: answers that only then may be.
#[derive(Default)]
pub(super) struct Past {
    pub(super) removed: HashSet<String>,
    pub(super) paused: HashSet<String>,
    pub(super) by_hand: HashSet<String>,
    pub(super) crashed: HashSet<String>,
    pub(super) refused: bool,
}

pub(super) struct World {
    index: Arc<Index>,
    beacon: Arc<Beacon>,
    pub(super) places: Arc<Places>,
    path: Count<Hold<Visits>>,
    pub(super) visits: Visits,
    pub(super) api: Api,
    peer: Arc<Peer>,
    pub(super) functions: [Place; 2],
    pub(super) all: Vec<Arc<Function>>,
    pub(super) pods: Vec<OnePod>,
    pub(super) requests: Vec<Request>,
    pub(super) past: Past,
    /// Who left the queue or passed since all came to rest last.
    pub(super) grants: Vec<Grant>,
    /// Nothing has changed since then that the pace depends on.
    pub(super) steady: bool,
    ticks: Ticks,
    random: u64,
    order: u64,
}

impl World {
    pub(super) async fn new(script: &Script) -> Self {
        crate::clock::now();
        let domains = Domains { external: "localhost".into(), cluster: "cluster.local".into() };
        let beacon = Arc::new(Beacon::default());
        let index = Arc::new(Index::new(Arc::new(Table::new(domains)), Arc::clone(&beacon)));
        let metrics = Metrics::new(&mut Registry::default());
        let limits = Limits {
            max_held: script.most.try_into().unwrap(),
            max_held_bytes: script.bytes.try_into().unwrap(),
            namespace_share_percent: script.percent,
            ..Limits::default()
        };
        let (places, api, visits) = (Places::new(&limits), Api::default(), Visits::default());
        let client = Client::new(api.clone(), "default");
        let waker = Waker::new(client, Duration::from_secs(10), &metrics, &index, &beacon);
        let hold = HoldLayer::new(&places, &waker, &metrics).layer(visits.clone());
        let path = CountLayer { beacon: Arc::clone(&beacon) }.layer(hold);
        let nobody = || Place {
            uid: String::new(),
            revision: String::new(),
            settings: Settings::FIRST,
            function: None,
            drained: Vec::new(),
        };
        let mut world = Self {
            index,
            beacon,
            places,
            path,
            visits,
            api,
            peer: Peer::test().await,
            functions: [nobody(), nobody()],
            all: Vec::new(),
            pods: Vec::new(),
            requests: Vec::new(),
            past: Past::default(),
            grants: Vec::new(),
            steady: true,
            ticks: Ticks::default(),
            random: script.seed,
            order: 0,
        };
        (0..NAMESPACES.len()).for_each(|place| world.create(place));
        world
    }

    pub(super) async fn act(&mut self, step: Step) {
        self.steady &=
            matches!(step, Step::Arrive(_) | Step::Cancel(_) | Step::Answer(_) | Step::End(_) | Step::Pass(_));
        match step {
            Step::Arrive(place) => self.arrive(place),
            Step::Cancel(number) => {
                let mut open: Vec<_> = self.requests.iter_mut().filter(|request| request.outcome.is_none()).collect();
                if !open.is_empty() {
                    let at = number % open.len();
                    open[at].cancel();
                }
            }
            Step::Answer(number) => self.visits.end(number, End::Answer),
            Step::Back(number, cause) => self.visits.end(number, End::Back(cause)),
            Step::Break(number) => self.visits.end(number, End::Break),
            Step::End(number) => {
                let mut state = self.visits.lock();
                if !state.streams.is_empty() {
                    let at = number % state.streams.len();
                    let stream = state.streams.remove(at);
                    drop(state);
                    drop(stream);
                }
            }
            Step::Appear(place) => self.appear(place),
            Step::Ready(number) => self.with_pod(number, |_, pod| pod.ready()),
            Step::Doubt(number) => self.with_pod(number, |_, pod| pod.probe.pod.cast_doubt()),
            Step::Move(number) => self.show(number, |pod| pod.address += 256),
            Step::Delete(number) => self.show(number, |pod| pod.leaving = true),
            Step::Crash(number) => {
                self.show(number, |pod| pod.crashed = true);
                let crashed = self.pods.iter().filter(|pod| pod.crashed).map(|pod| pod.function_uid.clone());
                self.past.crashed.extend(crashed.collect::<Vec<_>>());
            }
            Step::Vanish(number) => self.with_pod(number, |index, pod| {
                pod.gone = true;
                index.pod_gone(&pod.probe.pod.uid, Instant::now());
            }),
            Step::Drain(place, bits) => self.drain(place, bits),
            Step::Leader(attached) => self.beacon.set_attached(attached),
            Step::Settings(place, settings) => {
                self.functions[place].settings = settings;
                self.apply(place);
            }
            Step::Remove(place) => self.remove(place),
            Step::Create(place) => {
                if self.functions[place].function.is_none() {
                    self.create(place);
                }
            }
            Step::Api(mood) => {
                self.past.refused |= matches!(mood, Mood::Bad(403));
                self.api.lock().mood = Some(mood);
            }
            Step::Watch(place) => self.watch(place),
            Step::Lower(place) => drop(self.api.set(&self.functions[place].revision, 0)),
            Step::Pass(millis) => {
                tokio::time::advance(Duration::from_millis(millis)).await;
                self.index.lapse(Instant::now());
                self.others_run().await;
            }
        }
        self.excuse();
    }

    fn arrive(&mut self, place: usize) {
        let Some(function) = self.functions[place].function.clone() else { return };
        let id = self.requests.len();
        // Time stands still between two of them, and yet one is later.
        let arrived = Instant::now() + Duration::from_nanos(id as u64);
        let mut request = http::Request::get("/");
        request = request.header(ID, id.to_string());
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let bytes = headers::size(&parts);
        let call = Call {
            parts,
            body: None,
            host: HeaderValue::from_static("hello.shop"),
            upgrade: None,
            peer: Arc::clone(&self.peer),
            arrived,
            caller_deadline: None,
            function: Arc::clone(&function),
            counted: None,
            repeated: None,
        };
        let mut path = self.path.clone();
        let future = Box::pin(async move { path.call(Box::new(call)).await });
        self.requests.push(Request::new(function, arrived, bytes, future, &self.ticks));
    }

    /// Lets every request run that was woken, in an order that is drawn, until none is.
    fn run(&mut self) -> Verdict {
        loop {
            let woken = self.requests.iter().enumerate().filter(|(_, request)| request.is_woken());
            let mut woken: Vec<_> = woken.map(|(id, request)| (request.woken_since(), id)).collect();
            if woken.is_empty() {
                return Ok(());
            }
            woken.sort_unstable();
            let at = if self.random == 0 { 0 } else { self.draw() % woken.len() };
            self.turn(woken[at].1)?;
        }
    }

    /// As xorshift does (Marsaglia 2003).
    fn draw(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 33).unwrap()
    }

    fn turn(&mut self, id: usize) -> Verdict {
        let tick = self.ticks.fetch_add(1, Ordering::AcqRel);
        let before = Before::new(self, id);
        let request = &mut self.requests[id];
        let (waited, woken, last) = (request.waiting, request.woken_since(), request.woken_last());
        let turn = request.turn();
        let is_there = self.visits.lock().visits.contains_key(&id);
        match turn {
            Turn::Ended => {
                request.waiting = None;
                request.moved(false);
            }
            Turn::Pending if is_there => {
                if self.visits.lock().came.contains(&id) {
                    request.moved(true);
                    (request.waiting, request.visited, request.queued) = (None, true, waited.is_some());
                    let (at, by) = if waited.is_some() { (woken, last) } else { (tick, tick) };
                    self.grants.push(Grant { id, at, by, waited });
                }
            }
            Turn::Pending => {
                request.moved(false);
                let deadline = request.arrived + request.at_pods + Duration::from_secs(COLD_START);
                // What it gave back on its way was another's before it came to wait.
                let since = self.ticks.fetch_add(1, Ordering::AcqRel);
                request.waiting.get_or_insert(Waiting { since, deadline });
            }
        }
        self.visits.lock().came.clear();
        self.excuse();
        self.check_turn(id, &before)
    }

    /// Everything but the requests runs: the waker and its calls.
    async fn others_run(&self) {
        for _ in 0..40 {
            yield_now().await;
        }
    }

    /// Everybody runs until nobody has anything to do, and every rule holds: for the requests by themselves, whoever helps
    /// them later on, and then with that help.
    pub(super) async fn settle(&mut self) -> Verdict {
        self.run()?;
        self.check_rest()?;
        self.others_run().await;
        self.run()?;
        self.others_run().await;
        self.run()?;
        self.check_rest()?;
        self.check_wakes()?;
        self.grants.clear();
        self.steady = true;
        Ok(())
    }

    /// The waker ends with the queue, and the next one does not know what the watch has not shown yet.
    fn excuse(&mut self) {
        let mut api = self.api.lock();
        for place in self.functions.iter().filter(|place| place.function.as_ref().is_none_or(|f| f.gate.held() == 0)) {
            if let Some(deployment) = api.deployments.get_mut(&place.revision) {
                deployment.excused = true;
            }
        }
    }

    /// The script is over: every exchange ends, and time passes until every request has.
    pub(super) async fn rest(&mut self) -> Verdict {
        self.settle().await?;
        self.api.lock().mood = None;
        for _ in 0..4 {
            while !self.visits.lock().visits.is_empty() {
                self.visits.end(0, End::Answer);
                self.settle().await?;
            }
            tokio::time::advance(Duration::from_secs(COLD_START)).await;
            self.others_run().await;
            self.settle().await?;
        }
        let streams = std::mem::take(&mut self.visits.lock().streams);
        drop(streams);
        self.check_end()
    }

    fn with_pod(&mut self, number: usize, act: impl FnOnce(&Index, &mut OnePod)) {
        let mut there: Vec<_> = self.pods.iter_mut().filter(|pod| !pod.gone).collect();
        if !there.is_empty() {
            let at = number % there.len();
            act(&self.index, there[at]);
        }
    }

    fn appear(&mut self, place: usize) {
        let Place { uid, revision, function: Some(_), .. } = &self.functions[place] else { return };
        let number = u16::try_from(self.pods.len()).unwrap();
        let uid_of_pod = format!("p{number}");
        let shown = Shown {
            namespace: NAMESPACES[place],
            function_uid: uid,
            revision,
            uid: &uid_of_pod,
            address: number,
            leaving: false,
            crashed: false,
        };
        let Some(probe) = self.index.pod_applied(&shown.object(), Instant::now()) else { return };
        self.pods.push(OnePod {
            place,
            function_uid: uid.clone(),
            revision: revision.clone(),
            address: number,
            leaving: false,
            crashed: false,
            gone: false,
            probe,
        });
    }

    fn show(&mut self, number: usize, change: impl FnOnce(&mut OnePod)) {
        self.with_pod(number, |index, pod| {
            change(pod);
            let shown = Shown {
                namespace: NAMESPACES[pod.place],
                function_uid: &pod.function_uid,
                revision: &pod.revision,
                uid: &pod.probe.pod.uid,
                address: pod.address,
                leaving: pod.leaving,
                crashed: pod.crashed,
            };
            index.pod_applied(&shown.object(), Instant::now());
        });
    }

    fn drain(&mut self, place: usize, bits: u8) {
        let own = self.pods.iter().filter(|pod| pod.function_uid == self.functions[place].uid && !pod.gone);
        let chosen = own.enumerate().filter(|(number, _)| bits >> (number % 3) & 1 == 1);
        self.functions[place].drained = chosen.map(|(_, pod)| pod.probe.pod.uid.to_string()).collect();
        self.order += 1;
        let drains = self.functions.iter().filter(|place| !place.drained.is_empty()).map(|place| Drain {
            function_uid: place.uid.clone(),
            order: self.order,
            pod_uids: place.drained.clone(),
            valid_ms: u32::try_from(ORDER_VALID.as_millis()).unwrap(),
        });
        let orders = Orders { epoch: 1, drains: drains.collect(), failures: vec![], issued_ms: self.order };
        self.index.obey(&orders, Instant::now());
    }

    fn create(&mut self, place: usize) {
        let number = self.all.len();
        let (uid, revision) = (format!("f{number}"), format!("r{number}"));
        self.api.set(&revision, 0);
        let settings = Settings::FIRST;
        self.functions[place] = Place { uid, revision, settings, function: None, drained: Vec::new() };
        self.apply(place);
        self.watch(place);
    }

    /// The watch shows the Function.
    fn apply(&mut self, number: usize) {
        let place = &mut self.functions[number];
        if place.function.is_none() && self.past.removed.contains(&place.uid) {
            return;
        }
        match place.settings.mode {
            Mode::Paused => drop(self.past.paused.insert(place.uid.clone())),
            Mode::Manual(0) => drop(self.past.by_hand.insert(place.uid.clone())),
            _ => {}
        }
        let object = objects::function(NAMESPACES[number], &place.uid, &place.revision, place.settings);
        self.index.function_applied(&object);
        if place.function.is_none() {
            let function = self.index.functions().into_iter().find(|function| *function.uid == *place.uid).unwrap();
            self.all.push(Arc::clone(&function));
            place.function = Some(function);
        }
    }

    fn remove(&mut self, place: usize) {
        let place = &mut self.functions[place];
        if let Some(function) = place.function.take() {
            let object = objects::function(&function.key.namespace, &place.uid, &place.revision, place.settings);
            self.index.function_gone(&object.metadata);
            self.past.removed.insert(place.uid.clone());
        }
    }

    fn watch(&mut self, number: usize) {
        let place = &self.functions[number];
        let Some(shown) = self.api.lock().deployments.get(&place.revision).copied() else { return };
        let (replicas, version) = (shown.replicas, shown.version);
        let object = objects::deployment(NAMESPACES[number], &place.uid, &place.revision, replicas, version);
        self.index.deployment_applied(&object);
    }
}

impl OnePod {
    /// As the prober does when it passes.
    fn ready(&self) {
        let Probe { pod, function } = &self.probe;
        let sits_out = pod.ejected_until().is_some_and(|until| until > Instant::now());
        let Some(pool) = pod.pool().filter(|_| !pod.is_ready() && !sits_out) else { return };
        if pod.prove(&pool, Instant::now()) {
            function.release();
            function.gate.changed.notify_one();
        }
    }

    pub(super) fn pod(&self) -> &Arc<Pod> {
        &self.probe.pod
    }
}
