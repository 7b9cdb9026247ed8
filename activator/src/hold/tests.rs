use std::sync::Arc;

use tokio::time::Instant;

use super::{Entry, Pace, Ticket, Watch};
use crate::function::{Function, Key, Spec};
use crate::path::fault::{Fault, Share};
use crate::pods::Pod;

fn function(change: impl FnOnce(&mut Spec)) -> Arc<Function> {
    let mut spec = Spec::test();
    change(&mut spec);
    Function::new(Key::new("shop", "hello"), "f-uid".into(), spec)
}

fn pods(function: &Function, uids: &[&str]) -> Vec<Arc<Pod>> {
    let pods: Vec<_> = uids.iter().map(|uid| Pod::test(uid, "r1")).collect();
    function.serving.store(Arc::new(pods.clone()));
    pods
}

fn wait(function: &Arc<Function>) -> Ticket {
    match function.enter(Instant::now(), false) {
        Entry::Wait { ticket, .. } => ticket,
        other => panic!("it did not wait: {other:?}"),
    }
}

/// A moment at which requests arrive; later ones have higher numbers.
fn came(number: u64) -> Instant {
    static FIRST: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    crate::clock::at(*FIRST);
    *FIRST + std::time::Duration::from_nanos(number)
}

/// Names of the pods that the tickets have been granted, `-` for those that wait.
fn granted(tickets: &mut [Ticket]) -> Vec<(String, Option<super::Grant>)> {
    use futures::FutureExt as _;
    let each = tickets.iter_mut().map(|ticket| match ticket.granted().now_or_never() {
        None => ("-".to_owned(), None),
        Some(Ok(grant)) => (grant.taken.pod().uid.to_string(), Some(grant)),
        Some(Err(fault)) => (fault.slug().to_owned(), None),
    });
    each.collect()
}

fn names(granted: &[(String, Option<super::Grant>)]) -> Vec<&str> {
    granted.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn without_a_queue_a_request_passes() {
    let function = function(|_| {});
    let pods = pods(&function, &["a"]);
    assert!(function.pass(|_| true).is_none());
    pods[0].prove_ready(Instant::now());
    let grant = function.pass(|_| true).unwrap();
    assert!(grant.soft.is_none());
    assert!(matches!(function.enter(Instant::now(), false), Entry::Pass(_)));
    assert_eq!(pods[0].slots.read().in_flight, 1);
    drop(grant);
    assert_eq!(pods[0].slots.read().in_flight, 0);
}

fn watch(function: &Arc<Function>) -> (Ticket, Option<Watch>) {
    match function.enter(Instant::now(), false) {
        Entry::Wait { ticket, wake } => (ticket, wake),
        other => panic!("it did not wait: {other:?}"),
    }
}

#[tokio::test]
async fn only_the_first_waiter_starts_a_waker() {
    let function = function(|_| {});
    let (first, wake) = watch(&function);
    let mut wake = wake.unwrap();
    let (second, none) = watch(&function);
    assert!(none.is_none());
    assert!(!wake.over(), "somebody waits");
    drop((first, second));
    assert!(wake.over());
    let (_third, another) = watch(&function);
    assert!(another.is_some(), "the earlier one has ended");
    // It is gone only now, and does not end the watch of the other.
    drop(wake);
    assert!(watch(&function).1.is_none());
}

#[tokio::test]
async fn a_waker_that_ends_too_early_makes_room_for_another() {
    let function = function(|_| {});
    let (_first, wake) = watch(&function);
    let broken = tokio::spawn(async move {
        let _watch = wake.unwrap();
        panic!("a waker broke");
    });
    assert!(broken.await.unwrap_err().is_panic());
    assert!(watch(&function).1.is_some());
}

#[tokio::test]
async fn the_first_come_are_the_first_to_go_at_the_goals_pace() {
    let function = function(|spec| {
        spec.scaling.target = Some(2);
        spec.scaling.target_utilization_percent = 100;
    });
    let pods = pods(&function, &["a", "b"]);
    let mut tickets: Vec<_> = (0..6).map(|_| wait(&function)).collect();
    pods[0].prove_ready(Instant::now());
    function.release();
    let mut first = granted(&mut tickets);
    assert_eq!(names(&first), ["a", "a", "-", "-", "-", "-"]);
    assert_eq!(function.gate.held(), 4);

    // A response begins: its place is the next one's.
    first[0].1.as_mut().unwrap().soft.take();
    let second = granted(&mut tickets[2..]);
    assert_eq!(names(&second), ["a", "-", "-", "-"]);
    assert_eq!(pods[0].slots.read().in_flight, 3, "the first is still at the pod");

    pods[1].prove_ready(Instant::now());
    function.release();
    let third = granted(&mut tickets[3..]);
    assert_eq!(names(&third), ["b", "b", "-"]);
    drop((first, second, third));
    assert_ne!(names(&granted(&mut tickets[5..]))[0], "-");
}

#[tokio::test]
async fn at_the_most_replicas_a_pod_gets_more_than_its_share_and_not_all() {
    let function = function(|spec| {
        spec.scaling.target = Some(1);
        spec.scaling.max_replicas = 2;
    });
    let pods = pods(&function, &["a", "b"]);
    let most = Pace::of(&function.spec.load(), 2).most as usize;
    let mut tickets: Vec<_> = (0..2 * most + 2).map(|_| wait(&function)).collect();
    pods.iter().for_each(|pod| pod.prove_ready(Instant::now()));
    function.release();
    let first = granted(&mut tickets[..2 * most]);
    assert_eq!(names(&first).iter().filter(|name| **name == "a").count(), most);
    assert_eq!(names(&first).iter().filter(|name| **name == "b").count(), most);
    assert_eq!(names(&granted(&mut tickets[2 * most..])), ["-", "-"]);
    // Who comes now goes behind them.
    assert!(function.pass(|_| true).is_none());
    drop(first);
    let rest = granted(&mut tickets[2 * most..]);
    assert!(!names(&rest).contains(&"-"));
    assert!(function.pass(|_| true).is_some());
}

#[tokio::test]
async fn at_the_number_that_was_set_by_hand_a_pod_gets_more_than_its_share() {
    let function = function(|spec| {
        spec.scaling.target = Some(1);
        spec.scaling.mode = crds::function::Mode::Manual;
        spec.scaling.replicas = 1;
    });
    let pods = pods(&function, &["a"]);
    let mut tickets: Vec<_> = (0..3).map(|_| wait(&function)).collect();
    pods[0].prove_ready(Instant::now());
    function.release();
    assert_eq!(names(&granted(&mut tickets)), ["a"; 3]);
}

#[tokio::test]
async fn a_newcomer_goes_behind_the_queue() {
    let function = function(|spec| {
        spec.scaling.target = Some(1);
        spec.scaling.target_utilization_percent = 100;
    });
    let pods = pods(&function, &["a"]);
    let mut early = [wait(&function), wait(&function)];
    pods[0].prove_ready(Instant::now());
    function.release();
    let first = granted(&mut early);
    assert_eq!(names(&first), ["a", "-"]);
    assert!(function.pass(|_| true).is_none());
    let mut late = [wait(&function)];
    drop(first);
    assert_eq!(names(&granted(&mut early[1..])), ["a"]);
    assert_eq!(names(&granted(&mut late)), ["a"]);
}

#[tokio::test]
async fn one_that_leaves_frees_its_place_and_its_grant() {
    let function = function(|spec| {
        spec.queue = 2;
        spec.scaling.target = Some(1);
        spec.scaling.target_utilization_percent = 100;
    });
    let pods = pods(&function, &["a"]);
    let mut tickets = vec![wait(&function), wait(&function)];
    assert!(matches!(function.enter(Instant::now(), false), Entry::Refused(Fault::QueueFull(Share::Function))));
    drop(tickets.remove(0));
    assert_eq!(function.gate.held(), 1);
    tickets.push(wait(&function));

    pods[0].prove_ready(Instant::now());
    function.release();
    // The first one's grant is on its way to it when it leaves: the next one gets it.
    drop(tickets.remove(0));
    assert_eq!(names(&granted(&mut tickets)), ["a"]);
    drop(tickets);
    assert_eq!(pods[0].slots.read().in_flight, 0);
    assert_eq!(function.totals.read(crate::clock::now()).held, 0);
}

#[tokio::test]
async fn one_that_comes_back_unsent_keeps_its_place() {
    let function = function(|spec| {
        spec.queue = 1;
        spec.scaling.target = Some(1);
        spec.scaling.target_utilization_percent = 100;
    });
    let pods = pods(&function, &["a"]);
    let arrived = Instant::now();
    let mut first = wait(&function);
    pods[0].prove_ready(Instant::now());
    function.release();
    let grant = first.granted().await.unwrap();
    pods[0].cast_doubt();
    drop((grant, first));
    let mut later = [wait(&function)];
    // The queue is full, but this one was in it before.
    let Entry::Wait { ticket, .. } = function.enter(arrived, true) else { panic!() };
    let mut again = [ticket];
    pods[0].prove_ready(Instant::now());
    function.release();
    let grants = granted(&mut again);
    assert_eq!(names(&grants), ["a"]);
    assert_eq!(names(&granted(&mut later)), ["-"]);
}

#[tokio::test]
async fn one_that_has_its_pod_takes_nobody_else_out_of_the_queue() {
    let function = function(|_| {});
    let pods = pods(&function, &["a"]);
    let again = |number| match function.enter(came(number), true) {
        Entry::Wait { ticket, .. } => ticket,
        other => panic!("it did not wait: {other:?}"),
    };
    let mut first = [again(5)];
    pods[0].prove_ready(Instant::now());
    function.release();
    pods[0].cast_doubt();
    // The task of the first has not run yet, and another arrived at the same moment.
    let mut second = [again(5)];
    assert_eq!(names(&granted(&mut first)), ["a"]);
    drop(first);
    assert_eq!((function.gate.held(), names(&granted(&mut second))), (1, vec!["-"]));
}

#[tokio::test]
async fn who_came_first_goes_first_though_it_entered_later() {
    let function = function(|spec| {
        spec.queue = 2;
        spec.scaling.target = Some(1);
        spec.scaling.target_utilization_percent = 100;
    });
    let pods = pods(&function, &["a"]);
    let first = |number| match function.enter(came(number), false) {
        Entry::Wait { ticket, .. } => ticket,
        other => panic!("it did not wait: {other:?}"),
    };
    let mut tickets = [first(9), first(8)];
    assert!(matches!(function.enter(came(7), false), Entry::Refused(Fault::QueueFull(Share::Function))));
    pods[0].prove_ready(Instant::now());
    function.release();
    assert_eq!(names(&granted(&mut tickets)), ["-", "a"]);
}

#[tokio::test]
async fn two_that_arrived_at_one_moment_both_wait() {
    let function = function(|_| {});
    let pods = pods(&function, &["a"]);
    let again = |number| match function.enter(came(number), true) {
        Entry::Wait { ticket, .. } => ticket,
        other => panic!("it did not wait: {other:?}"),
    };
    let mut tickets = [again(5), again(5), again(4)];
    assert_eq!(function.gate.held(), 3);
    pods[0].prove_ready(Instant::now());
    function.release();
    assert_eq!(names(&granted(&mut tickets)), ["a"; 3]);
}

proptest::proptest! {
    /// Whoever comes, goes, or is away and comes back: the next is always the one that arrived first of those who wait.
    #[test]
    fn the_next_is_always_the_first(steps in proptest::collection::vec((0u8..4, 0usize..8), 1..80)) {
        let queue = super::queue::Queue::<usize>::default();
        let enter = |arrived, who| match queue.enter(arrived, usize::MAX, || None::<()>, who) {
            super::queue::Entered::Wait { place, .. } => place,
            other => panic!("{other:?}"),
        };
        // Numbers of arrival with places: of those who wait, and of those who are away.
        let (mut waiting, mut away, mut arrivals) = (Vec::new(), Vec::new(), 0);
        for (step, which) in steps {
            match step {
                0 => {
                    arrivals += 1;
                    waiting.push((arrivals, enter(arrivals as u64, arrivals)));
                }
                // It found nobody, and passed.
                1 if waiting.is_empty() => {
                    arrivals += 1;
                    away.push((arrivals, arrivals as u64));
                }
                2 if !away.is_empty() => {
                    let (who, order) = away.remove(which % away.len());
                    waiting.push((who, enter(order, who)));
                }
                3 => {
                    let mut served = None;
                    let mut one = Some(());
                    queue.serve(|| one.take(), |who, ()| { served = Some(who); Ok(()) });
                    waiting.sort_unstable();
                    let first = (!waiting.is_empty()).then(|| waiting.remove(0));
                    proptest::prop_assert_eq!(served, first.map(|(who, _)| who));
                    first.iter().for_each(|(_, order)| _ = queue.leave(*order));
                    away.extend(first);
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn faults_reach_everybody_and_a_closed_gate_lets_nobody_in() {
    let function = function(|_| {});
    let mut tickets = [wait(&function), wait(&function)];
    function.gate.fail(&Fault::Paused);
    assert_eq!(names(&granted(&mut tickets)), ["paused"; 2]);
    let mut last = [wait(&function)];
    function.gate.close();
    assert_eq!(names(&granted(&mut last)), ["function-deleted"]);
    assert!(matches!(function.enter(Instant::now(), false), Entry::Refused(Fault::Deleted)));
}
