use std::time::Duration;

use link::v1::{Acknowledgement, FunctionCount, Hello, PodState};

use super::*;

fn hello(pod: &str) -> Report {
    let hello = Hello { boot_id: "b".into(), pod_name: pod.into(), pod_uid: pod.into(), version: "1".into() };
    Report { hello: Some(hello), sequence: 1, clock_ms: 100_000, ..Report::default() }
}

fn pod(uid: &str, ready: bool) -> PodState {
    PodState { uid: uid.into(), function_uid: "f".into(), revision: "f-1".into(), ready, ..PodState::default() }
}

fn counting(pods: &[&str]) -> BTreeSet<String> {
    pods.iter().map(|pod| (*pod).to_owned()).collect()
}

#[test]
fn who_counts_and_says_nothing_is_unknown() {
    let now = Instant::now();
    let mut roster = Roster::default();
    assert_eq!(roster.seen("f", now), []);
    roster.set_counting(counting(&["a", "b"]), now);
    assert_eq!(roster.seen("f", now), [Seen::Unknown, Seen::Unknown]);
    roster.attach("a", hello("a"), now).unwrap();
    assert_eq!(roster.seen("f", now), [Seen::Quiet(now - Duration::from_secs(100)), Seen::Unknown]);
    assert_eq!(roster.heads(now), Heads { known: 1, unknown: 1 });
    assert_eq!(roster.acks("f", now), [None, None]);
}

#[test]
fn who_is_heard_counts_whatever_the_api_server_says() {
    let now = Instant::now();
    let mut roster = Roster::default();
    let busy = FunctionCount { uid: "f".into(), in_flight: 1, ..FunctionCount::default() };
    roster.attach("new", Report { functions: vec![busy], ..hello("new") }, now).unwrap();
    roster.set_counting(counting(&[]), now);
    assert_eq!(roster.seen("f", now), [Seen::Busy]);
    // Once it is neither heard nor counted it is forgotten.
    let late = now + Duration::from_secs(3);
    assert_eq!(roster.seen("f", late), []);
    roster.set_counting(counting(&[]), late);
    assert!(roster.activators.is_empty());
}

#[test]
fn a_newer_stream_takes_over_and_the_older_cannot_detach_it() {
    let now = Instant::now();
    let mut roster = Roster::default();
    roster.set_counting(counting(&["a"]), now);
    let (first, _) = roster.attach("a", hello("a"), now).unwrap();
    let (second, _) = roster.attach("a", hello("a"), now).unwrap();
    let next = Report { sequence: 2, clock_ms: 100_000, ..Report::default() };
    assert_eq!(roster.report("a", first, next.clone(), now), Err(Violation::Replaced));
    roster.detach("a", first);
    assert!(roster.report("a", second, next, now).is_ok());
    assert_eq!(roster.heads(now).known, 1);
    roster.detach("a", second);
    assert_eq!(roster.seen("f", now), [Seen::Unknown]);
}

#[test]
fn a_wrong_first_report_leaves_the_activator_unknown() {
    let now = Instant::now();
    let mut roster = Roster::default();
    roster.set_counting(counting(&["a"]), now);
    roster.attach("a", hello("a"), now).unwrap();
    roster.attach("a", Report { sequence: 2, ..hello("a") }, now).unwrap_err();
    assert_eq!(roster.seen("f", now), [Seen::Unknown]);
}

#[test]
fn a_pod_is_ready_when_every_activator_says_so() {
    let now = Instant::now();
    let mut roster = Roster::default();
    let pods = ["p".to_owned(), "q".to_owned()];
    assert_eq!(roster.ready_pods("f-1", &pods, now), None, "there is nobody to ask");
    roster.set_counting(counting(&["a", "b"]), now);
    roster.attach("a", Report { pods: vec![pod("p", true), pod("q", true)], ..hello("a") }, now).unwrap();
    assert_eq!(roster.ready_pods("f-1", &pods, now), None, "b is not heard");
    roster.attach("b", Report { pods: vec![pod("p", true), pod("q", false)], ..hello("b") }, now).unwrap();
    assert_eq!(roster.ready_pods("f-1", &pods, now), Some(1));
    assert_eq!(roster.ready_pods("f-0", &pods, now), Some(0), "another revision's pods do not count");
    assert!(roster.any_ready(["q"]) && !roster.any_ready(["r"]));
    assert_eq!(roster.ready_pods("f-1", &pods, now + Duration::from_secs(3)), None);
}

#[test]
fn acknowledgements_of_who_fell_silent_are_void() {
    let now = Instant::now();
    let mut roster = Roster::default();
    let ack = Acknowledgement { epoch: 1, function_uid: "f".into(), order: 2, ..Acknowledgement::default() };
    roster.set_counting(counting(&["a"]), now);
    roster.attach("a", Report { acknowledgements: vec![ack], ..hello("a") }, now).unwrap();
    assert_eq!(roster.acks("f", now)[0].unwrap().order, 2);
    assert_eq!(roster.acks("f", now + Duration::from_secs(3)), [None]);
}

#[test]
fn a_pod_is_empty_where_it_is_drained_with_nothing_in_flight() {
    let now = Instant::now();
    let mut roster = Roster::default();
    let state = |uid: &str, drained: bool, in_flight: u32| PodState { drained, in_flight, ..pod(uid, true) };
    let pods = vec![state("p", true, 0), state("q", true, 1), state("r", false, 0), state("s", true, 0)];
    roster.set_counting(counting(&["a", "b", "c"]), now);
    roster.attach("b", Report { pods, ..hello("b") }, now).unwrap();
    roster.attach("c", Report { pods: vec![state("q", true, 0)], ..hello("c") }, now).unwrap();
    let asked = ["p", "q", "r", "unknown"].map(str::to_owned);
    // In the order of the acknowledgements; of who is not heard nothing is known.
    assert_eq!(roster.empty(&asked, now), [counting(&[]), counting(&["p"]), counting(&["q"])]);
    assert_eq!(roster.acks("f", now).len(), 3);
    assert_eq!(roster.empty(&asked, now + Duration::from_secs(3)), [counting(&[]), counting(&[]), counting(&[])]);
}
