//! An API server in memory that behaves: versions, ownership of fields, generations, lists, watches, deletion. At one
//! write of the operator it does what a plan says instead.

mod fields;
mod http;
mod kind;
mod patch;
mod request;
mod store;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch as channel, time::Instant};

pub(crate) use self::http::client;
pub(crate) use kind::of as kind;
pub(crate) use store::{FOREGROUND, Key, Part, Store};

use crate::faults::{Fault, Nth, Trap};
use request::{Request, Verb};
use store::Refusal;
use watch::Cuts;

/// How long a new process sees an earlier state after [`Fault::StaleList`] and its like.
const STALE: Duration = Duration::from_secs(3);
/// How long somebody else's object stays where ours was to be made.
pub(crate) const SQUATS: Duration = Duration::from_secs(3);
/// What the user does, as plans call it.
pub(crate) const USER: &str = "the user acts";
/// What somebody else changes begins with this.
pub(crate) const FOREIGN: &str = "example.com/";

/// A write that the operator asked for.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) at: Instant,
    pub(crate) nth: Nth,
    pub(crate) key: Key,
    /// The API server said no, or nothing.
    pub(crate) failed: bool,
}

/// The API server.
pub(crate) struct Server {
    state: Mutex<State>,
    /// Something changed, or watches were cut.
    changed: channel::Sender<()>,
    /// Rises when the operator's process is to die.
    pub(crate) crashes: channel::Sender<u64>,
}

/// What it holds.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) writes: Vec<Write>,
    /// Requests of which this server knows nothing.
    pub(crate) unknown: Vec<String>,
    pub(crate) trap: Trap,
    /// Nothing goes wrong any more from then on.
    pub(crate) disturbed: Instant,
    /// The version when the user did something last.
    pub(crate) step: u64,
    /// Somebody else's object, and when it goes.
    pub(crate) squatter: Option<(Key, Instant)>,
    cuts: BTreeMap<&'static str, Cuts>,
    /// The version that the next process sees first, and that of this one.
    stale: Option<u64>,
    shown: Option<u64>,
    listed: BTreeSet<&'static str>,
    held: Option<Instant>,
}

/// What becomes of a request.
enum Answer {
    Is(u16, Value),
    /// None.
    Silence,
}

impl Server {
    pub(crate) fn new(trap: Trap) -> Arc<Self> {
        let state = State {
            store: Store::new(),
            writes: Vec::new(),
            unknown: Vec::new(),
            trap,
            disturbed: Instant::now(),
            step: 0,
            squatter: None,
            cuts: BTreeMap::new(),
            stale: None,
            shown: None,
            listed: BTreeSet::new(),
            held: None,
        };
        Arc::new(Self { state: Mutex::new(state), changed: channel::Sender::new(()), crashes: channel::Sender::new(0) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Reads.
    pub(crate) fn see<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state())
    }

    /// Changes something, as a user or Kubernetes would.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.state());
        self.changed.send_replace(());
        out
    }

    /// The user is about to do something.
    pub(crate) fn begin_step(&self, number: usize) {
        let mut state = self.state();
        state.step = state.store.version();
        state.trap.begin(number);
        state.disturbed = Instant::now();
    }

    /// The user has done it: that too is a moment at which something can go wrong.
    pub(crate) fn end_step(&self) {
        let mut state = self.state();
        let Some(fault) = state.trap.note(USER).1 else { return };
        if fault == Fault::MissedEvent {
            kind::plurals().for_each(|plural| state.cut(plural));
            drop(state);
            self.changed.send_replace(());
            return;
        }
        let before = state.step;
        state.remember(fault, before);
        drop(state);
        self.crash();
    }

    /// The operator's process dies.
    pub(crate) fn crash(&self) {
        self.crashes.send_modify(|crashes| *crashes += 1);
    }

    /// What Kubernetes' controllers do; who watches hears of it if it changed anything.
    pub(crate) fn control<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        let mut state = self.state();
        let before = state.store.version();
        let out = act(&mut state.store);
        let changed = state.store.version() != before;
        drop(state);
        if changed {
            self.changed.send_replace(());
        }
        out
    }

    /// Hears of every change.
    pub(crate) fn changes(&self) -> channel::Receiver<()> {
        self.changed.subscribe()
    }

    /// Somebody else's object goes when its time has come.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        if let Some((key, _)) = state.squatter.take_if(|(_, until)| Instant::now() >= *until) {
            state.store.remove(&key);
            drop(state);
            self.changed.send_replace(());
        }
    }

    /// A new process of the operator begins to ask.
    pub(crate) fn begin_life(&self) {
        let mut state = self.state();
        state.listed.clear();
        state.shown = state.stale.take();
        if state.shown.is_some() {
            let until = Instant::now() + STALE;
            state.held = Some(until);
            state.disturbed = until;
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut state = self.state();
        let before = state.store.version();
        let (answer, crash) = state.answer(request);
        let changed = state.store.version() != before || matches!(crash, Some(After::Cut));
        drop(state);
        if changed {
            self.changed.send_replace(());
        }
        if let Some(After::Crash) = crash {
            self.crash();
        }
        answer
    }
}

/// What follows an answer.
enum After {
    Crash,
    Cut,
}

impl State {
    /// Whether a namespace ever had a pod.
    pub(crate) fn pods_ever(&self, namespace: &str) -> bool {
        self.store.log.iter().any(|change| change.key.plural == "pods" && change.key.namespace == namespace)
    }

    fn held_until(&self) -> Option<Instant> {
        self.held
    }

    fn answer(&mut self, request: &Request) -> (Answer, Option<After>) {
        if !request.verb.writes() {
            return (self.read(request), None);
        }
        let (nth, fault) = self.trap.note(&request.words(&self.store));
        let at = Instant::now();
        let (answer, after) = match fault {
            None => (self.carry_out(request), None),
            Some(fault) => self.perturb(request, fault),
        };
        let failed = matches!(answer, Answer::Silence | Answer::Is(400.., _));
        self.writes.push(Write { at, nth, key: request.key(), failed });
        (answer, after)
    }

    fn perturb(&mut self, request: &Request, fault: Fault) -> (Answer, Option<After>) {
        self.disturbed = Instant::now();
        let before = self.store.version();
        match fault {
            Fault::Unavailable => (refusal(&Refusal::new(500, "InternalError", "etcd is away")), None),
            Fault::Refused => (refusal(&Refusal::conflict("the object has been modified")), None),
            Fault::Conflict => {
                self.interfere(request);
                (self.carry_out(request), None)
            }
            Fault::TimeoutApplied => {
                self.carry_out(request);
                (Answer::Silence, None)
            }
            Fault::MissedEvent => {
                let answer = self.carry_out(request);
                self.cut(request.kind.plural);
                (answer, Some(After::Cut))
            }
            Fault::CrashBefore => (Answer::Silence, Some(After::Crash)),
            Fault::CrashAfter | Fault::StaleList | Fault::OldList => {
                self.carry_out(request);
                self.remember(fault, before);
                (Answer::Silence, Some(After::Crash))
            }
        }
    }

    /// Breaks the watches of a kind, which cannot be resumed from before now.
    fn cut(&mut self, plural: &'static str) {
        let floor = self.store.version();
        let cuts = self.cuts.entry(plural).or_default();
        *cuts = Cuts { number: cuts.number + 1, floor };
    }

    /// What the next process sees first. `before`: the version before the write.
    fn remember(&mut self, fault: Fault, before: u64) {
        let version = if fault == Fault::StaleList { before } else { self.step };
        self.stale = (fault != Fault::CrashAfter).then_some(version);
    }

    /// Somebody else comes first.
    fn interfere(&mut self, request: &Request) {
        let key = request.key();
        if request.verb != Verb::Create {
            let touch = json!({"metadata": {"annotations": {format!("{FOREIGN}touched"): "1"}}});
            let _ = self.store.merge(&key, Part::Main, "somebody", &touch);
            return;
        }
        let theirs = json!({"metadata": {"labels": {format!("{FOREIGN}owner"): "somebody"}}, "spec": {"replicas": 0}});
        if self.store.create(&key, theirs, "somebody").is_ok() {
            let until = Instant::now() + SQUATS;
            self.disturbed = until;
            self.squatter = Some((key, until));
        }
    }

    fn carry_out(&mut self, request: &Request) -> Answer {
        let (key, body, manager) = (request.key(), &request.body, request.manager());
        let store = &mut self.store;
        let written = match request.verb {
            Verb::Create => store.create(&key, body.clone(), manager),
            Verb::Apply => store.apply(&key, manager, request.query("force") == "true", body),
            Verb::Merge => store.merge(&key, request.part, manager, body),
            Verb::JsonPatch => store.json_patch(&key, request.part, manager, body),
            Verb::Delete => {
                let foreground = body["propagationPolicy"] == "Foreground";
                return match store.delete(&key, &body["preconditions"], foreground) {
                    Ok(()) => Answer::Is(
                        200,
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                    ),
                    Err(refused) => refusal(&refused),
                };
            }
            Verb::Get | Verb::List | Verb::Watch => unreachable!("a read is no write"),
        };
        match written {
            Ok(object) if request.part == Part::Scale => Answer::Is(200, scale(&object)),
            Ok(object) => Answer::Is(if request.verb == Verb::Create { 201 } else { 200 }, Value::clone(&object)),
            Err(refused) => refusal(&refused),
        }
    }

    fn read(&mut self, request: &Request) -> Answer {
        let kind = request.kind;
        if request.verb == Verb::Get {
            let Some(object) = self.store.get(&request.key()) else {
                return refusal(&Refusal::new(404, "NotFound", &format!("{} {} not found", kind.plural, request.name)));
            };
            let whole = Value::clone(&object);
            let meta = || json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": object["metadata"]});
            return Answer::Is(200, if request.metadata_only { meta() } else { whole });
        }
        // Only the first list of a process is stale: what it asks for later is as new as the newest write.
        let first = self.listed.insert(kind.plural);
        let stale = self.shown.filter(|_| first);
        let (objects, version) = match stale {
            Some(version) => (self.store.at(kind.plural, version), version),
            None => (self.store.all(kind.plural), self.store.version()),
        };
        let mut chosen =
            objects.into_iter().filter(|(key, object)| request.selects(key, object)).map(|(_, object)| object);
        let after: usize = request.query("continue").parse().unwrap_or(0);
        let limit: usize = request.query("limit").parse().unwrap_or(usize::MAX);
        let items: Vec<Value> = chosen.by_ref().skip(after).take(limit).map(|object| Value::clone(&object)).collect();
        let left = chosen.count();
        let mut metadata = json!({"resourceVersion": version.to_string()});
        if left > 0 {
            metadata["continue"] = json!((after + items.len()).to_string());
        }
        Answer::Is(
            200,
            json!({"apiVersion": kind.api_version, "kind": format!("{}List", kind.kind), "metadata": metadata, "items": items}),
        )
    }
}

/// The scale of a Deployment. A Scale at zero omits its replicas.
fn scale(deployment: &Value) -> Value {
    let mut metadata = json!({});
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        metadata[field] = deployment["metadata"][field].clone();
    }
    let replicas = deployment["spec"]["replicas"].as_i64().unwrap_or(0);
    let spec = if replicas == 0 { json!({}) } else { json!({"replicas": replicas}) };
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec,
        "status": {"replicas": deployment["status"]["replicas"].as_i64().unwrap_or(0)}})
}

fn refusal(refused: &Refusal) -> Answer {
    let Refusal { code, reason, message } = refused;
    Answer::Is(
        *code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
            "reason": reason, "message": message}),
    )
}
