//! The one task that scales: it hears of every change, asks the pure parts, and carries out what they say.

mod marking;
mod resizing;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crds::function::Schedule;
use link::HEARTBEAT;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, info, warn};

use super::{
    Context,
    calendar::Calendar,
    decision::Because,
    drain::{Current, End, Outcome, Why},
    function::{Effect, State, Word},
    known::Known,
    ledger::Ledger,
    order::{Acks, OrderIds},
    resize::{Resized, Step},
    tell,
    view::View,
    waiting::{Call, Waiting},
    write::{self, Unmarked, Way},
};
use crate::{
    link::{Board, roster::Roster},
    stores::Key,
};

/// Reads and writes at once; more wait for the next look.
const CALLS: usize = 32;

/// A read or a write has ended.
struct Answer {
    key: Key,
    uid: String,
    revision: String,
    what: Answered,
}

enum Answered {
    Read(Result<Current, Outcome>),
    Wrote { replicas: i32, way: Way, because: Option<Because>, outcome: Outcome },
    Marked(Unmarked),
    Resized { pod: String, outcome: Resized },
}

/// One Function that is looked after.
struct Tended {
    uid: String,
    state: State,
}

/// The scaler of one term.
pub struct Scaler {
    cx: Arc<Context>,
    epoch: u64,
    board: Arc<Board>,
    ledger: Ledger,
    known: Known,
    ids: OrderIds,
    functions: HashMap<Key, Tended>,
    keys: HashMap<String, Key>,
    /// Those about which time alone can change something.
    awake: HashSet<Key>,
    /// About the others with schedules: when to look again.
    calendar: Calendar,
    /// Those that had to wait because too many calls were open.
    waiting: Waiting,
    calls: JoinSet<Answer>,
}

impl Scaler {
    /// Knows nothing yet.
    pub fn new(cx: Arc<Context>, epoch: u64, board: Arc<Board>, ledger: Ledger) -> Self {
        Self {
            cx,
            epoch,
            board,
            ledger,
            known: Known::default(),
            ids: OrderIds::default(),
            functions: HashMap::new(),
            keys: HashMap::new(),
            awake: HashSet::new(),
            calendar: Calendar::default(),
            waiting: Waiting::default(),
            calls: JoinSet::new(),
        }
    }

    /// Scales for ever. Dropping it stops every read and write.
    pub async fn run(mut self) {
        let cx = Arc::clone(&self.cx);
        let board = Arc::clone(&self.board);
        let changes = cx.handle.changes(&cx.stores);
        let mut verdicts = cx.verdicts.changed();
        let mut second = interval(HEARTBEAT);
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.count_activators();
        self.ledger.set_failures(&cx.verdicts.all());
        for function in cx.stores.functions.state() {
            self.look(&Key::from_obj(&*function));
        }
        loop {
            let heard = self.hear();
            self.look_at(heard);
            self.ledger.publish(now());
            tokio::select! {
                biased;
                // First: however much is told, orders are renewed in time.
                _ = second.tick() => self.tick(),
                Some(answer) = self.calls.join_next() => {
                    if let Ok(answer) = answer {
                        self.answer(answer);
                    }
                }
                () = board.news().rung() => {}
                keys = changes.take() => self.look_at(keys),
                functions = board.readiness() => {
                    let changed = cx.handle.changed();
                    functions.iter().filter_map(|uid| self.keys.get(uid)).for_each(|key| changed.add(key.clone()));
                }
                Ok(()) = verdicts.changed() => {
                    verdicts.mark_unchanged();
                    let standing = cx.verdicts.all();
                    self.ledger.set_failures(&standing);
                    // Those with a verdict now, and those awake, which had one until now.
                    let keys: HashSet<Key> = standing.into_iter().map(|verdict| verdict.key).collect();
                    self.look_at(keys.into_iter().chain(self.awake.clone()).collect::<HashSet<_>>());
                }
            }
        }
    }

    /// Takes in what the activators told since the last time; gives the Functions that it is about. What is about nobody
    /// who is known here is forgotten.
    fn hear(&mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        for (uid, loads) in self.board.news().take() {
            let Some(key) = self.keys.get(&uid) else { continue };
            if let Some(tended) = self.functions.get_mut(key) {
                tended.state.record(&loads, now());
            }
            keys.push(key.clone());
        }
        keys
    }

    /// Once a second: everything that time alone can change.
    fn tick(&mut self) {
        self.count_activators();
        let due = self.calendar.due((self.cx.wall)());
        self.look_at(self.awake.union(&due).cloned().collect::<HashSet<_>>());
        self.ledger.renew(now());
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let metrics = &self.cx.metrics;
        metrics.draining.set(count(self.ledger.ordered().len()));
        metrics.waiting.set(count(self.waiting.count()));
        metrics.blocked.set(count(self.functions.values().filter(|function| function.state.is_blocked()).count()));
        let heads = self.board.roster().heads(now());
        metrics.link.known.set(count(heads.known));
        metrics.link.unknown.set(count(heads.unknown));
    }

    fn count_activators(&mut self) {
        let counting = self.known.counting(&self.cx.stores.activators.state(), now());
        self.board.set_counting(counting);
    }

    fn look_at(&mut self, keys: impl IntoIterator<Item = Key>) {
        for key in keys {
            self.look(&key);
        }
    }

    /// Decides about one Function, and does it.
    fn look(&mut self, key: &Key) {
        let Some(view) = self.view(key) else {
            self.forget(key);
            self.calendar.forget(key);
            return;
        };
        if self.functions.get(key).is_some_and(|tended| tended.uid != view.uid) {
            self.forget(key);
        }
        self.keys.insert(view.uid.clone(), key.clone());
        let word = self.word(&view);
        let tended = self
            .functions
            .entry(key.clone())
            .or_insert_with(|| Tended { uid: view.uid.clone(), state: State::default() });
        let before = tended.state.decision();
        let effects = tended.state.step(&view, &word, now(), &mut self.ids);
        if tended.state.decision() != before {
            debug!(function = %key, decision = ?tended.state.decision(), seen = ?word.seen, "Another decision.");
        }
        if tended.state.is_awake(&view) {
            self.awake.insert(key.clone());
        } else {
            self.awake.remove(key);
        }
        self.ledger.set(&view.uid, tended.state.order());
        for effect in effects {
            self.carry_out(key, effect);
        }
    }

    fn view(&mut self, key: &Key) -> Option<View> {
        let verdicts = &self.cx.verdicts;
        let board = &self.board;
        let ready =
            |pods: &std::collections::BTreeSet<String>| board.roster().any_ready(pods.iter().map(String::as_str));
        let (calendar, now) = (&mut self.calendar, (self.cx.wall)());
        let scheduled = |schedules: &[Schedule]| calendar.min(key, schedules, now);
        View::read(&self.cx.stores, key, |uid, revision| verdicts.of(uid, revision), ready, scheduled)
    }

    fn word(&self, view: &View) -> Word {
        let roster = self.board.roster();
        let pods = view.revisions.iter().flat_map(|revision| &revision.pods);
        let busy = roster.busy(pods.map(String::as_str));
        let serving = view.serving().into_iter().flat_map(|serving| &serving.pods);
        let ready = roster.ready(serving.map(String::as_str), now());
        let boosted = view.revisions.iter().flat_map(|revision| &revision.boosted);
        let probed = boosted.filter(|pod| roster.any_ready([pod.as_str()])).cloned().collect();
        Word {
            seen: roster.seen(&view.uid, now()),
            said: roster.said(&view.uid, now()),
            ready: i32::try_from(ready).unwrap_or(i32::MAX),
            acks: self.acks(&view.key, &view.uid, &roster),
            busy,
            probed,
        }
    }

    fn acks(&self, key: &Key, uid: &str, roster: &Roster) -> Acks {
        let order = self.functions.get(key).and_then(|tended| tended.state.order());
        let pods = order.into_iter().flat_map(|order| &order.pods);
        let begun = self.ledger.begun();
        let given = roster.acks(uid, now()).into_iter().map(|ack| Some(ack?.as_of(begun))).collect();
        Acks { epoch: self.epoch, given, empty: roster.empty(pods, now()) }
    }

    /// It is gone: its order with it.
    fn forget(&mut self, key: &Key) {
        if let Some(tended) = self.functions.remove(key) {
            self.keys.remove(&tended.uid);
            self.ledger.set(&tended.uid, None);
            self.waiting.forget(key);
        }
        self.awake.remove(key);
    }

    fn carry_out(&mut self, key: &Key, effect: Effect) {
        match effect {
            // A lowering does not wait: it follows a read, in its place, and what it rests on does not keep.
            Effect::Write { revision, replicas, way: Way::Down, version } => {
                self.write(key, revision, (replicas, Way::Down), version);
            }
            Effect::Read { revision } => self.wait(key, revision, Call::Read),
            Effect::Mark { revision, marking } => self.mark(key, revision, &marking),
            Effect::Resize(step) => self.resize(key, step),
            Effect::Write { revision, replicas, way: Way::Up, version } => {
                self.wait(key, revision, Call::Raise { replicas, version });
            }
            Effect::Ended { revision, why, end } => self.ended(key, &revision, why, end),
            Effect::Blocked { missing, of } => tell::blocked(&self.cx, key, missing, of),
            Effect::Unready { ready, of } => tell::unready(&self.cx, key, ready, of),
        }
    }

    /// Everything takes its turn, also what is asked for again at once: else those that had a turn would keep the others
    /// from theirs while the API server answers nothing.
    fn wait(&mut self, key: &Key, revision: String, call: Call) {
        self.waiting.add(key, revision, call);
        self.start_waiting();
    }

    fn start_waiting(&mut self) {
        while self.calls.len() < CALLS
            && let Some((key, revision, call)) = self.waiting.take()
        {
            match call {
                Call::Read => self.read(&key, revision),
                Call::Raise { replicas, version } => self.write(&key, revision, (replicas, Way::Up), version),
            }
        }
    }

    fn read(&mut self, key: &Key, revision: String) {
        info!(function = %key, revision, "Nothing stands in the way of a lowering; reading the Deployment.");
        self.cx.metrics.acknowledged.inc();
        self.call(key, revision, |client, namespace, revision| async move {
            Answered::Read(write::read(client, &namespace, &revision).await)
        });
    }

    fn write(&mut self, key: &Key, revision: String, (replicas, way): (i32, Way), version: String) {
        let (leadership, epoch) = (self.cx.leadership.clone(), self.epoch);
        let because = self.functions.get(key).and_then(|tended| tended.state.because(&revision));
        self.call(key, revision, move |client, namespace, revision| async move {
            let name = (namespace.as_str(), revision.as_str());
            let outcome = write::scale(client, &leadership, epoch, name, replicas, &version).await;
            Answered::Wrote { replicas, way, because, outcome }
        });
    }

    fn call<F>(&mut self, key: &Key, revision: String, call: impl FnOnce(kube::Client, String, String) -> F)
    where
        F: Future<Output = Answered> + Send + 'static,
    {
        let Some(uid) = self.functions.get(key).map(|tended| tended.uid.clone()) else { return };
        let namespace = key.namespace.clone().unwrap_or_default();
        let what = call(self.cx.client.clone(), namespace, revision.clone());
        let key = key.clone();
        self.calls.spawn(async move { Answer { key, uid, revision, what: what.await } });
    }

    fn answer(&mut self, answer: Answer) {
        let Answer { key, uid, revision, what } = answer;
        // The answer is judged by what is so now, not by what was when the call was made.
        self.look(&key);
        let acks = self.acks(&key, &uid, &self.board.roster());
        let mut refusal = None;
        let effect = self.functions.get_mut(&key).filter(|tended| tended.uid == uid).and_then(|tended| match what {
            Answered::Read(current) => tended.state.read(&revision, current, &acks, now()),
            Answered::Marked(unmarked) => {
                let given_back = tended.state.unmarked(&revision, &unmarked.pods, now());
                if given_back.is_some() {
                    tell::unnamed(&self.cx, &key, &unmarked.words);
                }
                given_back
            }
            Answered::Resized { pod, outcome } => {
                self.cx.metrics.resized(&outcome);
                refusal = tended.state.resized(&pod, outcome, now());
                None
            }
            Answered::Wrote { replicas, way, because, outcome } => {
                self.cx.metrics.wrote(replicas, way, outcome);
                if let Some(because) = because.filter(|_| outcome == Outcome::Done) {
                    self.cx.metrics.decided(&because);
                    tell::sized(&self.cx, &key, &revision, replicas, &because);
                }
                info!(function = %key, revision, replicas, ?outcome, "A write of the scale of a revision has ended.");
                tended.state.written(&revision, outcome, now())
            }
        });
        if let Some(effect) = effect {
            self.carry_out(&key, effect);
        }
        if let Some(words) = refusal {
            self.limit_refused(&key, &revision, &words);
        }
        self.look(&key);
        self.start_waiting();
    }

    fn ended(&self, key: &Key, revision: &str, why: Why, end: End) {
        self.cx.metrics.ended(why, end);
        match end {
            End::Refused | End::Unnamed => {
                warn!(function = %key, revision, ?why, "The revision could not be lowered; its pods are given back.")
            }
            _ => info!(function = %key, revision, ?why, ?end, "The way of a revision down is over."),
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
