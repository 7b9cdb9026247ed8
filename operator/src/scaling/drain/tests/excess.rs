//! From some replicas to fewer.

use super::*;

const EXCESS: Want = Want { why: Why::Excess, to: 2 };

/// Four pods, all Ready; `d` and then `c` are the least busy.
fn four() -> Revision {
    whole(revision("f-1", 4, 4, &["a", "b", "c", "d"]))
}

fn whole(revision: Revision) -> Revision {
    Revision { ready: revision.pods.clone(), ..revision }
}

impl Bench {
    fn four() -> Self {
        let mut bench = Self::new();
        [("a", 9), ("b", 8), ("c", 1)].iter().for_each(|(pod, count)| bench.busy.add(pod, *count));
        bench
    }

    fn to(&mut self, revision: &Revision, want: Option<Want>) -> Vec<Step> {
        let goals = [Goal { revision, want }];
        let steps = self.drains.step(&goals, &self.busy, &self.acks, self.now, &mut self.ids);
        steps.into_iter().map(|(_, step)| step).collect()
    }

    /// Brings the four pods to the point where 2 is being written.
    fn lowering(&mut self) -> Revision {
        let mut up = four();
        assert_eq!(self.to(&up, Some(EXCESS)), []);
        self.all_ack();
        assert_eq!(self.to(&up, Some(EXCESS)), [mark(&["c", "d"], &[])]);
        up.marked = set(&["c", "d"]);
        assert_eq!(self.to(&up, Some(EXCESS)), [Step::Read]);
        let lower = Step::Lower { to: 2, version: "77".to_owned() };
        assert_eq!(self.read("f-1", Ok(current(77, 4, 4))), Some(lower));
        up
    }
}

fn mark(set_of: &[&str], clear: &[&str]) -> Step {
    Step::Mark(Marking { set: set(set_of), clear: set(clear) })
}

fn over(end: End) -> Vec<Step> {
    vec![Step::Ended(Why::Excess, end)]
}

#[test]
fn the_least_busy_are_drained_then_named_then_lowered() {
    let mut bench = Bench::four();
    let up = bench.lowering();
    assert_eq!(bench.order().pods, set(&["c", "d"]));
    assert_eq!(bench.written("f-1", Outcome::Done), None);
    assert_eq!(bench.to(&up, Some(EXCESS)), [], "the store lags");
    assert!(!bench.drains.holds("f-1"), "it may be raised again");
    let mut down = whole(Revision { replicas: 2, generation: 5, marked: set(&["c", "d"]), ..up });
    down.pods = set(&["a", "b", "c"]);
    down.leaving = set(&["d"]);
    assert_eq!(bench.to(&down, None), []);
    assert_eq!(bench.order().pods, set(&["c", "d"]), "kept until they are gone");
    down.pods = set(&["a", "b"]);
    down.leaving = BTreeSet::new();
    assert_eq!(bench.to(&down, None), over(End::Lowered { strays: 0 }));
    assert!(bench.drains.order().is_none() && bench.drains.is_empty());
}

#[test]
fn requests_elsewhere_do_not_matter_and_requests_there_do() {
    let mut bench = Bench::four();
    let up = four();
    bench.to(&up, Some(EXCESS));
    bench.ack(0, 3, 0, 5);
    bench.ack(1, 0, 1, 900);
    assert_eq!(bench.to(&up, Some(EXCESS)), [], "one is in flight on a pod that is to go");
    bench.wait(500);
    bench.ack(0, 3, 0, 50);
    bench.ack(1, 7, 0, 950);
    assert_eq!(bench.to(&up, Some(EXCESS)), [mark(&["c", "d"], &[])]);
}

#[test]
fn who_takes_longer_than_is_allowed_is_not_waited_for() {
    let mut bench = Bench::four();
    let mut up = four();
    bench.to(&up, Some(EXCESS));
    up.marked = set(&["c", "d"]);
    bench.all_ack();
    bench.ack(0, 0, 1, 5);
    assert_eq!(bench.to(&up, Some(EXCESS)), []);
    bench.wait(29_999);
    bench.ack(0, 0, 1, 5);
    bench.ack(1, 0, 0, 5);
    assert_eq!(bench.to(&up, Some(EXCESS)), []);
    bench.wait(1);
    assert_eq!(bench.to(&up, Some(EXCESS)), [Step::Read]);
}

#[test]
fn only_a_whole_revision_loses_some_of_its_pods() {
    type Spoil = fn(&mut Revision);
    let spoils: [(&str, Spoil); 3] = [
        ("one is not Ready", |r| r.ready = set(&["b", "c", "d"])),
        ("one is missing", |r| r.pods = set(&["a", "b", "c"])),
        ("there is one too many", |r| {
            r.pods.insert("e".to_owned());
            r.ready.insert("e".to_owned());
        }),
    ];
    for (what, spoil) in spoils {
        let mut bench = Bench::four();
        let mut spoilt = four();
        spoil(&mut spoilt);
        assert_eq!(bench.to(&spoilt, Some(EXCESS)), [], "{what}");
        assert!(bench.drains.is_empty(), "{what}: not begun");
        bench.to(&four(), Some(EXCESS));
        assert_eq!(bench.to(&spoilt, Some(EXCESS)), over(End::Cancelled), "{what}: given up");
        assert!(bench.drains.order().is_none(), "{what}");
    }
}

#[test]
fn load_that_comes_back_takes_it_back_and_the_names_too() {
    let mut bench = Bench::four();
    let mut up = four();
    bench.to(&up, Some(EXCESS));
    bench.all_ack();
    assert_eq!(bench.to(&up, Some(EXCESS)), [mark(&["c", "d"], &[])]);
    up.marked = set(&["c", "d"]);
    assert_eq!(bench.to(&up, None), over(End::Cancelled), "the names were asked for a moment ago");
    bench.wait(1000);
    assert_eq!(bench.to(&up, None), [mark(&[], &["c", "d"])]);
    assert!(bench.drains.order().is_none());
    // More is wanted than it is being brought down to: the same.
    bench.to(&up, Some(EXCESS));
    assert!(!bench.drains.is_empty());
    assert_eq!(bench.to(&up, Some(Want { why: Why::Excess, to: 3 })), over(End::Cancelled));
}

#[test]
fn less_is_wanted_meanwhile_after_this() {
    let mut bench = Bench::four();
    let up = four();
    bench.to(&up, Some(EXCESS));
    let id = bench.order().id;
    assert_eq!(bench.to(&up, Some(Want { why: Why::Excess, to: 1 })), []);
    assert_eq!((bench.order().id, bench.order().pods.len()), (id, 2));
    // Nobody calls any more: all of them, at once.
    assert_eq!(bench.to(&up, Some(Want::none(Why::Idle))), []);
    assert_eq!(bench.order().pods.len(), 4);
}

#[test]
fn those_that_were_to_stay_are_no_strays_when_all_go_after_all() {
    let mut bench = Bench::four();
    let up = four();
    bench.to(&up, Some(EXCESS));
    bench.to(&up, Some(Want::none(Why::Idle)));
    bench.all_ack();
    assert_eq!(bench.to(&up, Some(Want::none(Why::Idle))), [Step::Read]);
    assert!(bench.read("f-1", Ok(current(77, 4, 4))).is_some());
    bench.written("f-1", Outcome::Done);
    let down = revision("f-1", 0, 5, &[]);
    assert_eq!(bench.to(&down, None), [Step::Ended(Why::Idle, End::Lowered { strays: 0 })]);
}

#[test]
fn a_name_that_is_taken_away_during_the_read_stops_the_write() {
    let mut bench = Bench::four();
    let named = Revision { marked: set(&["c", "d"]), ..four() };
    bench.to(&named, Some(EXCESS));
    bench.all_ack();
    assert_eq!(bench.to(&named, Some(EXCESS)), [Step::Read]);
    assert_eq!(bench.to(&four(), Some(EXCESS)), [mark(&["c", "d"], &[])]);
    assert_eq!(bench.read("f-1", Ok(current(77, 4, 4))), None);
    assert_eq!(bench.to(&named, Some(EXCESS)), [Step::Read], "once they are named again");
}

#[test]
fn requests_on_pods_that_go_later_have_their_time_too() {
    let mut bench = Bench::four();
    let up = four();
    bench.to(&up, Some(EXCESS));
    bench.all_ack();
    bench.ack(0, 0, 1, 5);
    bench.to(&up, Some(EXCESS));
    bench.wait(30_000);
    let paused = Some(Want::none(Why::Stopped));
    bench.to(&up, paused);
    bench.all_ack();
    bench.ack(0, 0, 1, 5);
    assert_eq!(bench.to(&up, paused), []);
    bench.wait(30_000);
    bench.all_ack();
    bench.ack(0, 0, 1, 5);
    assert_eq!(bench.to(&up, paused), [Step::Read]);
}

#[test]
fn a_drained_pod_that_stays_serves_again_and_the_other_is_counted() {
    let mut bench = Bench::four();
    let up = bench.lowering();
    bench.written("f-1", Outcome::Done);
    // The ReplicaSet took `a` in the place of `c`.
    let mut down = Revision { replicas: 2, generation: 5, pods: set(&["b", "c"]), leaving: set(&["a", "d"]), ..up };
    bench.wait(1000);
    assert_eq!(bench.to(&down, None), [mark(&[], &["c"])]);
    assert_eq!(bench.order().pods, set(&["d"]), "released");
    down.leaving = BTreeSet::new();
    down.marked = BTreeSet::new();
    assert_eq!(bench.to(&down, None), over(End::Lowered { strays: 1 }));
}

#[test]
fn a_raise_after_the_write_gives_back_who_is_left() {
    let mut bench = Bench::four();
    let up = bench.lowering();
    bench.written("f-1", Outcome::Done);
    let raised = Revision { replicas: 3, generation: 6, pods: set(&["a", "b", "c"]), leaving: set(&["d"]), ..up };
    assert_eq!(bench.to(&raised, None), over(End::Raised));
    assert!(bench.drains.order().is_none());
}

#[test]
fn what_the_read_shows_decides() {
    // Raised, or lowered to another number: decide again. Lowered to this one: that was it.
    for (replicas, written) in [(5, false), (3, false), (2, false)] {
        let mut bench = Bench::four();
        let mut up = four();
        bench.to(&up, Some(EXCESS));
        up.marked = set(&["c", "d"]);
        bench.all_ack();
        assert_eq!(bench.to(&up, Some(EXCESS)), [Step::Read]);
        assert_eq!(bench.read("f-1", Ok(current(77, 9, replicas))).is_some(), written, "{replicas}");
        assert_eq!(bench.drains.holds("f-1"), replicas != 2, "{replicas}");
    }
}

#[test]
fn names_that_a_former_leader_left_are_taken_away() {
    let mut bench = Bench::four();
    let up = Revision { marked: set(&["a"]), ..four() };
    assert_eq!(bench.to(&up, None), [mark(&[], &["a"])]);
    assert_eq!(bench.to(&up, None), [], "not twice in a second");
    bench.wait(1000);
    assert_eq!(bench.to(&up, None), [mark(&[], &["a"])]);
}

#[test]
fn who_cannot_be_named_is_given_back_for_ever_longer() {
    let mut bench = Bench::four();
    let up = four();
    for pause in [5, 10, 20] {
        assert_eq!(bench.to(&up, Some(EXCESS)), []);
        assert_eq!(bench.order().pods, set(&["c", "d"]));
        for left in (0..TRIES).rev() {
            bench.all_ack();
            assert_eq!(bench.to(&up, Some(EXCESS)), [mark(&["c", "d"], &[])], "{left} more");
            let ended = bench.drains.unmarked("f-1", &set(&["d"]), bench.now);
            assert_eq!(ended, (left == 0).then_some(Step::Ended(Why::Excess, End::Unnamed)), "{left} more");
            bench.wait(if left == 0 { 0 } else { 1000 });
        }
        assert_eq!(bench.to(&up, Some(EXCESS)), []);
        assert!(bench.drains.order().is_none(), "given back");
        bench.wait(pause * 1000 - 1);
        assert_eq!(bench.to(&up, Some(EXCESS)), []);
        assert!(bench.drains.is_empty(), "it rests");
        bench.wait(1);
    }
    // Where all go nobody is named.
    bench.to(&up, Some(EXCESS));
    bench.drains.rests.begin("f-1", End::Unnamed, bench.now);
    bench.to(&up, None);
    bench.to(&up, Some(EXCESS));
    assert!(bench.drains.is_empty());
    bench.to(&up, Some(Want::none(Why::Stopped)));
    assert_eq!(bench.order().pods.len(), 4);
}

#[test]
fn names_that_cannot_be_taken_away_hold_up_nothing() {
    let mut bench = Bench::four();
    let up = Revision { marked: set(&["a"]), ..four() };
    for _ in 0..2 * TRIES {
        assert_eq!(bench.to(&up, None), [mark(&[], &["a"])]);
        assert_eq!(bench.drains.unmarked("f-1", &set(&["a"]), bench.now), None);
        bench.wait(60_000);
    }
    bench.to(&up, Some(EXCESS));
    assert!(!bench.drains.is_empty());
}

#[test]
fn while_kubernetes_counts_more_pods_than_are_seen_nobody_goes() {
    for want in [EXCESS, Want::none(Why::Idle), Want::none(Why::Retired)] {
        let mut bench = Bench::four();
        let up = Revision { marked: set(&["c", "d"]), ..four() };
        let hidden = Revision { hidden: 1, ..up.clone() };
        bench.to(&hidden, Some(want));
        assert!(bench.drains.is_empty(), "{want:?}: not begun");
        bench.to(&up, Some(want));
        bench.all_ack();
        assert_eq!(bench.to(&hidden, Some(want)), [], "{want:?}: not read");
        assert_eq!(bench.to(&up, Some(want)), [Step::Read], "{want:?}");
        bench.to(&hidden, Some(want));
        assert_eq!(bench.read("f-1", Ok(current(77, 4, 4))), None, "{want:?}: not written");
    }
    // Nobody can be at a pod that never started.
    let hidden = Revision { hidden: 1, ..four() };
    assert_eq!(Bench::four().to(&hidden, Some(Want::none(Why::Failed))), [Step::Read]);
}
