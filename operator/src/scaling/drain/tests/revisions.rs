//! Two revisions of one function on their way at once, under one order.

use super::*;

/// Of `new` goes `a`, of `old` all.
fn goals<'a>(new: &'a Revision, old: &'a Revision, of_new: Want) -> [Goal<'a>; 2] {
    [Goal { revision: new, want: Some(of_new) }, Goal { revision: old, want: Some(Want::none(Why::Retired)) }]
}

/// What is to be done for which revision, with one request in flight and activator 0 telling that these pods are empty.
fn steps(of_new: Want, empty: &[&str]) -> Vec<(String, Step)> {
    let mut bench = Bench::new();
    let new = Revision { ready: set(&["a", "b"]), marked: set(&["a"]), ..revision("f-2", 2, 4, &["a", "b"]) };
    let old = revision("f-1", 1, 4, &["x"]);
    let goals = goals(&new, &old, of_new);
    assert_eq!(bench.drains.step(&goals, &bench.busy, &bench.acks, bench.now, &mut bench.ids), []);
    assert!(bench.order().pods.is_superset(&set(&["a", "x"])));
    bench.ack(0, 0, 1, 5);
    bench.ack(1, 0, 0, 5);
    bench.acks.empty = vec![set(empty), set(&[])];
    bench.drains.step(&goals, &bench.busy, &bench.acks, bench.now, &mut bench.ids)
}

#[test]
fn what_is_in_flight_at_one_revision_does_not_hold_up_the_other() {
    let one = Want { why: Why::Excess, to: 1 };
    let read = |revision: &str| vec![(revision.to_owned(), Step::Read)];
    assert_eq!(steps(one, &["a"]), read("f-2"));
    assert_eq!(steps(one, &["x"]), read("f-1"));
    assert_eq!(steps(one, &["b"]), [], "nobody says where the request is");
    assert_eq!(steps(one, &[]), []);
    // All of it, when not every one of its pods is empty.
    assert_eq!(steps(Want::none(Why::Stopped), &["a"]), []);
    assert_eq!(steps(Want::none(Why::Stopped), &["a", "b"]), read("f-2"));
    // Who asks for idleness asks for it of the whole function.
    assert_eq!(steps(Want::none(Why::Idle), &["a", "b"]), []);
}
