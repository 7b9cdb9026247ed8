use std::collections::BTreeSet;

use kube::runtime::reflector::ObjectRef;
use scale::Settings;

use super::*;
use crate::link::activator::Ack;

const WINDOW: Duration = Duration::from_secs(60);

fn revision(name: &str, role: Role, replicas: i32, pods: &[&str]) -> Revision {
    Revision {
        name: name.to_owned(),
        role,
        replicas,
        generation: 1,
        version: "1".to_owned(),
        linger: Duration::from_secs(30),
        failed: false,
        pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
        ready: BTreeSet::new(),
        marked: BTreeSet::new(),
        boosted: BTreeSet::new(),
        stuck: BTreeSet::new(),
        leaving: BTreeSet::new(),
        hidden: 0,
    }
}

fn view(min: i32, revisions: Vec<Revision>) -> View {
    let settings = Settings {
        target: Some(10.0),
        utilization_percent: 100.0,
        stable_window: WINDOW,
        min,
        max: 10,
        ..Settings::default()
    };
    View {
        key: ObjectRef::new("f").within("shop"),
        uid: "uf".to_owned(),
        fixed: None,
        adaptive: false,
        settings,
        revisions,
    }
}

struct Bench {
    state: State,
    ids: OrderIds,
    now: Instant,
    word: Word,
}

impl Bench {
    /// Two activators that have seen no request for `quiet` seconds.
    fn new(quiet: u64) -> Self {
        let now = Instant::now() + Duration::from_secs(100_000);
        let seen = vec![Seen::Quiet(now - Duration::from_secs(quiet)); 2];
        let acks = Acks { epoch: 1, given: vec![None; 2], empty: Vec::new() };
        let word = Word { seen, said: Vec::new(), ready: 0, acks, busy: Busy::default(), probed: BTreeSet::new() };
        Self { state: State::default(), ids: OrderIds::default(), now, word }
    }

    fn step(&mut self, view: &View) -> Vec<Effect> {
        self.state.step(view, &self.word, self.now, &mut self.ids)
    }

    fn all_ack(&mut self) {
        let order = self.state.order().unwrap().id;
        let ack = Ack { epoch: 1, order, held: 0, in_flight: 0, requests: 5, issued: Duration::ZERO, at: self.now };
        self.word.acks.given = vec![Some(ack); 2];
    }

    fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }
}

fn write(revision: &str, replicas: i32, version: &str) -> Effect {
    let way = if replicas == 0 { Way::Down } else { Way::Up };
    Effect::Write { revision: revision.to_owned(), replicas, way, version: version.to_owned() }
}

fn read(revision: &str) -> Effect {
    Effect::Read { revision: revision.to_owned() }
}

#[test]
fn an_idle_function_is_drained_and_lowered() {
    let mut bench = Bench::new(59);
    let one = view(0, vec![revision("f-1", Role::Serving, 1, &["a"])]);
    assert_eq!(bench.step(&one), []);
    assert!(bench.state.order().is_none() && bench.state.is_awake(&one));
    bench.wait(1);
    assert_eq!(bench.step(&one), []);
    bench.all_ack();
    assert_eq!(bench.step(&one), [read("f-1")]);
    let current = Current { version: "7".to_owned(), generation: 1, replicas: 1 };
    let effect = bench.state.read("f-1", Ok(current), &bench.word.acks, bench.now);
    assert_eq!(effect, Some(write("f-1", 0, "7")));
    assert_eq!(bench.state.written("f-1", Outcome::Done, bench.now), None);
    let gone = view(0, vec![Revision { generation: 2, ..revision("f-1", Role::Serving, 0, &[]) }]);
    let ended = Effect::Ended { revision: "f-1".to_owned(), why: Why::Idle, end: End::Lowered { strays: 0 } };
    assert_eq!(bench.step(&gone), [ended]);
    assert!(!bench.state.is_awake(&gone));
}

#[test]
fn a_silent_activator_holds_everything_up_and_is_told_of_once() {
    let mut bench = Bench::new(300);
    bench.word.seen[1] = Seen::Unknown;
    let one = view(0, vec![revision("f-1", Role::Serving, 1, &["a"])]);
    assert_eq!(bench.step(&one), []);
    assert!(!bench.state.is_blocked() && bench.state.order().is_none());
    bench.wait(10);
    assert_eq!(bench.step(&one), [Effect::Blocked { missing: 1, of: 2 }]);
    assert!(bench.state.is_blocked());
    bench.wait(10);
    assert_eq!(bench.step(&one), [], "told once");
    bench.word.seen[1] = bench.word.seen[0];
    bench.step(&one);
    assert!(!bench.state.is_blocked() && bench.state.order().is_some());
}

#[test]
fn a_silent_activator_takes_an_order_back() {
    let mut bench = Bench::new(300);
    let one = view(0, vec![revision("f-1", Role::Serving, 1, &["a"])]);
    bench.step(&one);
    assert!(bench.state.order().is_some());
    bench.word.seen[1] = Seen::Unknown;
    bench.step(&one);
    assert!(bench.state.order().is_none());
}

#[test]
fn a_function_that_was_just_woken_has_its_whole_window() {
    let mut bench = Bench::new(3600);
    bench.step(&view(0, vec![revision("f-1", Role::Serving, 0, &[])]));
    let woken = view(0, vec![revision("f-1", Role::Serving, 1, &[])]);
    assert_eq!(bench.step(&woken), []);
    assert!(bench.state.order().is_none(), "although no activator has said anything of a request yet");
    bench.wait(59);
    bench.step(&woken);
    assert!(bench.state.order().is_none());
    bench.wait(1);
    bench.step(&woken);
    assert!(bench.state.order().is_some());
}

#[test]
fn min_replicas_are_kept_and_raised_to_with_the_version_that_was_seen() {
    let mut bench = Bench::new(3600);
    let none = view(2, vec![revision("f-1", Role::Serving, 0, &[])]);
    assert_eq!(bench.step(&none), [write("f-1", 2, "1")]);
    assert_eq!(bench.step(&none), [], "not twice");
    bench.state.written("f-1", Outcome::Conflict, bench.now);
    let newer = view(2, vec![Revision { version: "2".to_owned(), ..revision("f-1", Role::Serving, 1, &["a"]) }]);
    assert_eq!(bench.step(&newer), [write("f-1", 2, "2")], "decided again with what is there now");
    bench.wait(2);
    assert_eq!(bench.step(&newer), [write("f-1", 2, "2")], "and again if it shows no effect");
    assert_eq!(bench.step(&view(2, vec![revision("f-1", Role::Serving, 2, &["a", "b"])])), []);
    assert!(bench.state.order().is_none());
}

#[test]
fn a_candidate_follows_the_serving_revision_up_and_never_down() {
    let mut bench = Bench::new(0);
    let roll = |old: i32, new: i32| {
        view(0, vec![revision("f-1", Role::Serving, old, &["a"]), revision("f-2", Role::Candidate, new, &[])])
    };
    assert_eq!(bench.step(&roll(3, 0)), [write("f-2", 3, "1")]);
    assert_eq!(bench.step(&roll(3, 3)), []);
    assert_eq!(bench.step(&roll(1, 3)), [write("f-1", 3, "1")], "that is the serving one, which somebody else lowered");
    // A candidate that failed is held at zero.
    let mut failed = roll(3, 3);
    failed.revisions[1].failed = true;
    let mut bench = Bench::new(0);
    assert_eq!(bench.step(&failed), [read("f-2")]);
    failed.revisions[1].replicas = 0;
    for _ in 0..2 {
        bench.step(&failed);
    }
    assert_eq!(bench.step(&failed), []);
}

#[test]
fn a_retired_revision_is_drained_while_the_other_serves() {
    let mut bench = Bench::new(0);
    bench.word.seen = vec![Seen::Busy; 2];
    let both = view(0, vec![revision("f-1", Role::Retired, 2, &["a"]), revision("f-2", Role::Serving, 2, &["b"])]);
    assert_eq!(bench.step(&both), []);
    assert_eq!(bench.state.order().unwrap().pods, BTreeSet::from(["a".to_owned()]));
    bench.all_ack();
    assert_eq!(bench.step(&both), [read("f-1")]);
}

#[test]
fn a_paused_function_goes_whatever_min_says() {
    let mut bench = Bench::new(0);
    bench.word.seen = vec![Seen::Busy; 2];
    let mut paused = view(2, vec![revision("f-1", Role::Serving, 2, &["a", "b"])]);
    paused.fixed = Some(0);
    bench.step(&paused);
    assert_eq!(bench.state.order().unwrap().pods.len(), 2);
    bench.all_ack();
    assert_eq!(bench.step(&paused), [read("f-1")]);
}

#[test]
fn a_number_set_by_hand_is_written_at_once_and_a_lower_one_after_a_drain() {
    let mut bench = Bench::new(3600);
    let manual = |replicas, pods: &[&str], fixed| {
        let mut revision = revision("f-1", Role::Serving, replicas, pods);
        revision.ready = revision.pods.clone();
        View { fixed: Some(fixed), ..view(0, vec![revision]) }
    };
    assert_eq!(bench.step(&manual(0, &[], 3)), [write("f-1", 3, "1")]);
    assert_eq!(bench.step(&manual(3, &["a", "b", "c"], 3)), []);
    assert!(bench.state.order().is_none(), "idle for an hour");
    bench.step(&manual(3, &["a", "b", "c"], 1));
    assert_eq!(bench.state.order().unwrap().pods.len(), 2);
    bench.step(&manual(3, &["a", "b", "c"], 0));
    assert_eq!(bench.state.order().unwrap().pods.len(), 3);
    bench.all_ack();
    assert_eq!(bench.step(&manual(3, &["a", "b", "c"], 0)), [read("f-1")]);
    let fresh = State::default();
    assert!(!fresh.is_awake(&manual(0, &[], 0)) && fresh.is_awake(&manual(0, &[], 1)));
}

#[test]
fn a_start_by_hand_that_failed_is_tried_again_after_a_pause_or_at_once_for_a_request() {
    let mut bench = Bench::new(0);
    let view = |failed, replicas| {
        let revision = Revision { failed, ..revision("f-1", Role::Serving, replicas, &[]) };
        View { fixed: Some(1), ..view(0, vec![revision]) }
    };
    assert_eq!(bench.step(&view(true, 1)), [read("f-1")]);
    let current = Current { version: "7".to_owned(), generation: 1, replicas: 1 };
    assert_eq!(bench.state.read("f-1", Ok(current), &bench.word.acks, bench.now), Some(write("f-1", 0, "7")));
    bench.state.written("f-1", Outcome::Done, bench.now);
    assert_eq!(bench.step(&view(false, 0)).len(), 1, "its way down has ended");
    assert_eq!(bench.step(&view(false, 0)), []);
    bench.word.said = vec![Said { at: bench.now, in_flight: 0, held: 1 }];
    assert_eq!(bench.step(&view(false, 0)), [write("f-1", 1, "1")]);
    bench.word.said.clear();
    bench.wait(2);
    assert_eq!(bench.step(&view(false, 0)), [write("f-1", 1, "1")]);
}

#[test]
fn a_failed_start_goes_at_once_and_comes_back_for_min_only_after_a_pause() {
    let mut bench = Bench::new(0);
    bench.word.seen = vec![Seen::Busy, Seen::Unknown];
    let mut failing = view(1, vec![Revision { failed: true, ..revision("f-1", Role::Serving, 1, &["a"]) }]);
    assert_eq!(bench.step(&failing), [read("f-1")]);
    assert!(bench.state.order().is_none());
    let current = Current { version: "7".to_owned(), generation: 1, replicas: 1 };
    let effect = bench.state.read("f-1", Ok(current), &bench.word.acks, bench.now);
    assert_eq!(effect, Some(write("f-1", 0, "7")));
    bench.state.written("f-1", Outcome::Done, bench.now);
    failing.revisions[0] = Revision { generation: 2, ..revision("f-1", Role::Serving, 0, &[]) };
    let ended = Effect::Ended { revision: "f-1".to_owned(), why: Why::Failed, end: End::Lowered { strays: 0 } };
    assert_eq!(bench.step(&failing), [ended]);
    bench.wait(1);
    assert_eq!(bench.step(&failing), []);
    bench.wait(1);
    assert_eq!(bench.step(&failing), [write("f-1", 1, "1")]);
    // It failed again at once: lowered after a pause.
    failing.revisions[0] = Revision { failed: true, generation: 3, ..revision("f-1", Role::Serving, 1, &["b"]) };
    assert_eq!(bench.step(&failing), [read("f-1")]);
}
