mod excess;
mod interleavings;
mod model;
mod revisions;

use std::time::Duration;

use super::*;
use crate::scaling::{order::FRESH, view::Role};

const EPOCH: u64 = 9;

fn set(pods: &[&str]) -> BTreeSet<String> {
    pods.iter().map(|pod| (*pod).to_owned()).collect()
}

fn revision(name: &str, replicas: i32, generation: i64, pods: &[&str]) -> Revision {
    Revision {
        name: name.to_owned(),
        role: Role::Serving,
        replicas,
        generation,
        version: generation.to_string(),
        linger: Duration::from_secs(30),
        failed: false,
        pods: set(pods),
        ready: BTreeSet::new(),
        marked: BTreeSet::new(),
        boosted: BTreeSet::new(),
        stuck: BTreeSet::new(),
        leaving: BTreeSet::new(),
        hidden: 0,
    }
}

/// One function under the machine, with hands on everything.
struct Bench {
    drains: Drains,
    ids: OrderIds,
    now: Instant,
    acks: Acks,
    busy: Busy,
}

impl Bench {
    fn new() -> Self {
        let acks = Acks { epoch: EPOCH, given: vec![None, None], empty: Vec::new() };
        Self { drains: Drains::default(), ids: OrderIds::default(), now: Instant::now(), acks, busy: Busy::default() }
    }

    fn step(&mut self, goals: &[(&Revision, Option<Why>)]) -> Vec<(String, Step)> {
        let goals: Vec<_> = goals.iter().map(|(revision, why)| Goal { revision, want: why.map(Want::none) }).collect();
        self.drains.step(&goals, &self.busy, &self.acks, self.now, &mut self.ids)
    }

    fn order(&self) -> &Order {
        self.drains.order().unwrap()
    }

    /// Activator `index` acknowledges the current order now.
    fn ack(&mut self, index: usize, held: u32, in_flight: u32, requests: u64) {
        let order = self.order().id;
        self.acks.given[index] =
            Some(Ack { epoch: EPOCH, order, held, in_flight, requests, issued: Duration::ZERO, at: self.now });
    }

    fn all_ack(&mut self) {
        for index in 0..self.acks.given.len() {
            self.ack(index, 0, 0, 5);
        }
    }

    fn read(&mut self, name: &str, current: Result<Current, Outcome>) -> Option<Step> {
        self.drains.read(name, current, &self.acks, self.now)
    }

    fn written(&mut self, name: &str, outcome: Outcome) -> Option<Step> {
        self.drains.written(name, outcome, self.now)
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
    }

    /// Brings `revision` to the point where 0 is being written.
    fn writing(&mut self, revision: &Revision, why: Why) {
        assert_eq!(self.step(&[(revision, Some(why))]), []);
        self.all_ack();
        assert_eq!(self.step(&[(revision, Some(why))]), [(revision.name.clone(), Step::Read)]);
        let lower = Step::Lower { to: 0, version: "77".to_owned() };
        assert_eq!(self.read(&revision.name, Ok(current(77, 4, revision.replicas))), Some(lower));
    }
}

fn current(version: u64, generation: i64, replicas: i32) -> Current {
    Current { version: version.to_string(), generation, replicas }
}

fn ended(name: &str, why: Why, end: End) -> Vec<(String, Step)> {
    vec![(name.to_owned(), Step::Ended(why, end))]
}

#[test]
fn from_the_order_to_no_pods() {
    let mut bench = Bench::new();
    let up = revision("f-1", 2, 4, &["a", "b"]);
    bench.writing(&up, Why::Idle);
    assert_eq!(bench.order().pods, set(&["a", "b"]));
    let id = bench.order().id;
    assert_eq!(bench.written("f-1", Outcome::Done), None);
    // The store lags: still the old Deployment.
    assert_eq!(bench.step(&[(&up, Some(Why::Idle))]), []);
    let mut down = revision("f-1", 0, 5, &["b"]);
    down.leaving = set(&["a"]);
    assert_eq!(bench.step(&[(&down, None)]), []);
    assert_eq!((bench.order().id, bench.order().pods.len()), (id, 2), "kept until the pods are gone");
    assert_eq!(bench.step(&[(&revision("f-1", 0, 5, &[]), None)]), ended("f-1", Why::Idle, End::Lowered { strays: 0 }));
    assert_eq!(bench.drains.order(), None);
    assert!(bench.drains.is_empty());
}

#[test]
fn nothing_is_read_before_every_activator_has_acknowledged_this_order_as_empty() {
    let up = revision("f-1", 1, 4, &["a"]);
    type Spoil = fn(&mut Bench);
    let spoils: &[(&str, Spoil)] = &[
        ("nobody counts", |b| b.acks.given.clear()),
        ("one is not heard", |b| b.acks.given[1] = None),
        ("one acknowledged an earlier order", |b| b.acks.given[1].as_mut().unwrap().order -= 1),
        ("one acknowledged an earlier leader", |b| b.acks.given[1].as_mut().unwrap().epoch -= 1),
        ("one has a request in flight", |b| b.acks.given[1].as_mut().unwrap().in_flight = 1),
        ("one holds a request", |b| b.acks.given[1].as_mut().unwrap().held = 1),
        ("one said so too long ago", |b| b.acks.given[1].as_mut().unwrap().at -= FRESH + Duration::from_millis(1)),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::new();
        bench.step(&[(&up, Some(Why::Idle))]);
        bench.all_ack();
        spoil(&mut bench);
        assert_eq!(bench.step(&[(&up, Some(Why::Idle))]), [], "{what}");
    }
}

#[test]
fn what_changed_during_the_read_stops_the_write() {
    let up = revision("f-1", 1, 4, &["a"]);
    type Spoil = fn(&mut Bench);
    let spoils: &[(&str, Spoil)] = &[
        ("a request came and went", |b| b.ack(1, 0, 0, 6)),
        ("a request is held", |b| b.ack(1, 1, 0, 5)),
        ("an activator fell silent", |b| b.acks.given[0] = None),
        ("the acknowledgements are old", |b| b.wait(1001)),
        ("another pod appeared", |b| {
            b.step(&[(&revision("f-1", 1, 4, &["a", "b"]), Some(Why::Idle))]);
        }),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::new();
        bench.step(&[(&up, Some(Why::Idle))]);
        bench.all_ack();
        assert_eq!(bench.step(&[(&up, Some(Why::Idle))]).len(), 1);
        spoil(&mut bench);
        assert_eq!(bench.read("f-1", Ok(current(77, 4, 1))), None, "{what}");
        assert!(bench.drains.holds("f-1"), "{what}: decided again");
    }
}

#[test]
fn a_request_cancels_an_idle_drain_at_once() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.step(&[(&up, Some(Why::Idle))]);
    bench.all_ack();
    bench.step(&[(&up, Some(Why::Idle))]);
    assert_eq!(bench.step(&[(&up, None)]), ended("f-1", Why::Idle, End::Cancelled));
    assert_eq!(bench.drains.order(), None, "the pods are given back");
    assert_eq!(bench.read("f-1", Ok(current(77, 4, 1))), None, "the read's answer is of no use any more");
}

#[test]
fn a_raise_that_the_read_shows_stops_the_write() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.step(&[(&up, Some(Why::Idle))]);
    bench.all_ack();
    bench.step(&[(&up, Some(Why::Idle))]);
    assert_eq!(bench.read("f-1", Ok(current(80, 5, 3))), None);
    assert!(bench.drains.holds("f-1"));
}

#[test]
fn after_a_conflict_it_is_decided_again_under_a_new_order() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.writing(&up, Why::Idle);
    let before = bench.order().id;
    assert_eq!(bench.written("f-1", Outcome::Conflict), None);
    bench.wait(100);
    assert_eq!(bench.step(&[(&up, Some(Why::Idle))]), [], "the acknowledgements from before do not count");
    assert!(bench.order().id > before);
    bench.all_ack();
    assert_eq!(bench.step(&[(&up, Some(Why::Idle))]), [("f-1".to_owned(), Step::Read)]);
    // Or it turns out that an activator woke it.
    let mut bench = Bench::new();
    bench.writing(&up, Why::Idle);
    bench.written("f-1", Outcome::Conflict);
    assert_eq!(bench.step(&[(&revision("f-1", 3, 5, &["a"]), None)]), ended("f-1", Why::Idle, End::Cancelled));
}

#[test]
fn a_write_that_fails_again_and_again_gives_the_pods_back_for_a_while() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    let goal = [(&up, Some(Why::Idle))];
    for _ in 1..TRIES {
        bench.step(&goal);
        bench.all_ack();
        assert_eq!(bench.step(&goal), [("f-1".to_owned(), Step::Read)]);
        assert_eq!(bench.read("f-1", Err(Outcome::Failed)), None);
        assert_eq!(bench.step(&goal), [], "not at once");
        bench.wait(3200);
    }
    bench.all_ack();
    bench.step(&goal);
    let refused = Step::Ended(Why::Idle, End::Refused);
    assert_eq!(bench.read("f-1", Err(Outcome::Failed)), Some(refused));
    bench.step(&goal);
    assert!(bench.drains.is_empty() && bench.drains.order().is_none());
    bench.wait(5000);
    bench.step(&goal);
    assert!(bench.drains.holds("f-1"));
}

#[test]
fn a_write_without_an_answer_that_took_place_is_seen() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.writing(&up, Why::Idle);
    assert_eq!(bench.written("f-1", Outcome::Failed), None);
    let mut down = revision("f-1", 0, 5, &[]);
    down.leaving = set(&["a"]);
    assert_eq!(bench.step(&[(&down, Some(Why::Idle))]), []);
    assert_eq!(bench.order().pods, set(&["a"]), "no request goes to a pod that is leaving");
    assert_eq!(bench.step(&[(&revision("f-1", 0, 5, &[]), None)]), ended("f-1", Why::Idle, End::Lowered { strays: 0 }));
}

#[test]
fn a_raise_after_the_write_gives_back_what_is_left() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.writing(&up, Why::Idle);
    bench.written("f-1", Outcome::Done);
    // 5 is our write, 6 the activator's: the ReplicaSet never acted on the zero and "a" survives.
    assert_eq!(bench.step(&[(&revision("f-1", 1, 6, &["a"]), None)]), ended("f-1", Why::Idle, End::Raised));
    assert_eq!(bench.drains.order(), None);
}

#[test]
fn a_deployment_that_is_gone_ends_it() {
    let mut bench = Bench::new();
    let up = revision("f-1", 1, 4, &["a"]);
    bench.writing(&up, Why::Idle);
    assert_eq!(bench.written("f-1", Outcome::Gone), Some(Step::Ended(Why::Idle, End::Gone)));
    bench.step(&[(&up, Some(Why::Idle))]);
    assert_eq!(bench.step(&[]), ended("f-1", Why::Idle, End::Gone));
    assert_eq!(bench.drains.order(), None);
}

#[test]
fn requests_in_flight_on_a_retired_revision_may_end_but_not_for_ever() {
    for why in [Why::Retired, Why::Stopped] {
        let mut bench = Bench::new();
        let old = revision("f-0", 1, 4, &["a"]);
        bench.step(&[(&old, Some(why))]);
        bench.all_ack();
        bench.ack(0, 0, 1, 5);
        assert_eq!(bench.step(&[(&old, Some(why))]), [], "{why:?}: the wait begins");
        bench.wait(29_999);
        bench.ack(0, 7, 1, 5);
        bench.ack(1, 0, 0, 5);
        assert_eq!(bench.step(&[(&old, Some(why))]), [], "{why:?}: one is in flight");
        bench.wait(1);
        assert_eq!(bench.step(&[(&old, Some(why))]), [("f-0".to_owned(), Step::Read)], "{why:?}");
        bench.ack(0, 7, 1, 900);
        let step = bench.read("f-0", Ok(current(77, 4, 1)));
        assert_eq!(step, Some(Step::Lower { to: 0, version: "77".to_owned() }), "new requests go elsewhere");
    }
    // Held requests do not hold up what will not serve them.
    let mut bench = Bench::new();
    let old = revision("f-0", 1, 4, &["a"]);
    bench.step(&[(&old, Some(Why::Retired))]);
    bench.ack(0, 3, 0, 5);
    bench.ack(1, 0, 0, 5);
    assert_eq!(bench.step(&[(&old, Some(Why::Retired))]).len(), 1);
    // However long it takes, an activator that says nothing is waited for.
    let mut bench = Bench::new();
    bench.step(&[(&old, Some(Why::Retired))]);
    bench.wait(3_600_000);
    bench.step(&[(&old, Some(Why::Retired))]);
    bench.ack(0, 0, 0, 5);
    assert_eq!(bench.step(&[(&old, Some(Why::Retired))]), []);
    assert_eq!(bench.drains.unacknowledged(&bench.acks), Some(1));
}

#[test]
fn requests_have_their_time_from_when_the_last_activator_keeps_the_order() {
    let old = revision("f-0", 1, 4, &["a"]);
    let goal = [(&old, Some(Why::Retired))];
    let mut bench = Bench::new();
    bench.step(&goal);
    for _ in 0..30 {
        bench.ack(0, 0, 0, 5);
        bench.step(&goal);
        bench.wait(1000);
    }
    // It sent requests there until now.
    bench.ack(0, 0, 0, 5);
    bench.ack(1, 0, 1, 5);
    assert_eq!(bench.step(&goal), []);
    // And again, after it was not heard for a while.
    bench.wait(15_000);
    bench.acks.given[1] = None;
    bench.step(&goal);
    bench.ack(0, 0, 0, 5);
    bench.ack(1, 0, 1, 6);
    assert_eq!(bench.step(&goal), []);
    bench.wait(29_999);
    bench.ack(0, 0, 0, 5);
    bench.ack(1, 0, 1, 6);
    assert_eq!(bench.step(&goal), []);
    bench.wait(1);
    assert_eq!(bench.step(&goal), [("f-0".to_owned(), Step::Read)]);
}

#[test]
fn an_order_that_an_activator_made_void_is_given_anew() {
    let old = revision("f-0", 1, 4, &["a"]);
    let goal = [(&old, Some(Why::Retired))];
    let mut bench = Bench::new();
    bench.step(&goal);
    bench.all_ack();
    bench.ack(1, 0, 1, 5);
    bench.step(&goal);
    let id = bench.order().id;
    // Activator 1 takes its pods back, and acknowledges this order no more.
    bench.wait(1001);
    bench.ack(0, 0, 0, 5);
    bench.step(&goal);
    bench.wait(4999);
    bench.ack(0, 0, 0, 5);
    bench.step(&goal);
    assert_eq!(bench.order().id, id);
    bench.wait(1);
    bench.step(&goal);
    assert!(bench.order().id > id);
    // What it sent there meanwhile has its time.
    bench.wait(24_000);
    bench.all_ack();
    bench.ack(1, 0, 1, 9);
    assert_eq!(bench.step(&goal), []);
    bench.all_ack();
    assert_eq!(bench.step(&goal), [("f-0".to_owned(), Step::Read)]);
}

#[test]
fn a_failed_start_is_lowered_without_a_word_from_anybody() {
    let mut bench = Bench::new();
    bench.acks.given = vec![None];
    let up = revision("f-1", 1, 4, &["a"]);
    assert_eq!(bench.step(&[(&up, Some(Why::Failed))]), [("f-1".to_owned(), Step::Read)]);
    assert_eq!(bench.drains.order(), None);
    let lower = Step::Lower { to: 0, version: "77".to_owned() };
    assert_eq!(bench.read("f-1", Ok(current(77, 4, 1))), Some(lower));
}

#[test]
fn one_order_covers_all_revisions_and_changes_with_its_pods() {
    let mut bench = Bench::new();
    let (old, new) = (revision("f-0", 1, 4, &["a"]), revision("f-1", 2, 2, &["b", "c"]));
    bench.step(&[(&old, Some(Why::Retired)), (&new, None)]);
    assert_eq!(bench.order().pods, set(&["a"]));
    let first = bench.order().id;
    bench.step(&[(&old, Some(Why::Retired)), (&new, Some(Why::Idle))]);
    assert_eq!(bench.order().pods, set(&["a", "b", "c"]));
    assert!(bench.order().id > first);
    bench.all_ack();
    let steps = bench.step(&[(&old, Some(Why::Retired)), (&new, Some(Why::Idle))]);
    assert_eq!(steps, [("f-0".to_owned(), Step::Read), ("f-1".to_owned(), Step::Read)]);
}
