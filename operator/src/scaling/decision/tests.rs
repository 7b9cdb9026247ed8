use std::{collections::BTreeSet, time::Duration};

use kube::runtime::reflector::ObjectRef;
use scale::{Rule, Settings};

use super::*;
use crate::{link::activator::Added, scaling::view::Role};

const WINDOW: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A Function of 10 requests at once per replica, and its load as one or two activators tell it each second.
struct Bench {
    judge: Judge,
    view: View,
    now: Instant,
    /// Of each activator.
    in_flight: Vec<u32>,
    held: Vec<u32>,
    unknown: usize,
    ready: i32,
    /// Since when nobody calls.
    quiet: Option<Instant>,
}

impl Bench {
    fn new(activators: usize, replicas: i32) -> Self {
        let settings = Settings {
            target: Some(10.0),
            utilization_percent: 100.0,
            stable_window: WINDOW,
            max: 20,
            ..Settings::default()
        };
        let revision = Revision {
            name: "f-1".to_owned(),
            role: Role::Serving,
            replicas,
            generation: 1,
            version: "1".to_owned(),
            linger: Duration::from_secs(30),
            failed: false,
            pods: BTreeSet::new(),
            ready: BTreeSet::new(),
            marked: BTreeSet::new(),
            boosted: BTreeSet::new(),
            stuck: BTreeSet::new(),
            leaving: BTreeSet::new(),
            hidden: 0,
        };
        let key = ObjectRef::new("f").within("shop");
        let view =
            View { key, uid: "uf".to_owned(), fixed: None, adaptive: false, settings, revisions: vec![revision] };
        let now = Instant::now() + Duration::from_secs(100_000);
        let none = vec![0; activators];
        Self {
            judge: Judge::default(),
            view,
            now,
            in_flight: none.clone(),
            held: none,
            unknown: 0,
            ready: replicas,
            quiet: Some(now),
        }
    }

    fn load(&mut self, in_flight: &[u32], held: &[u32]) {
        (self.in_flight, self.held) = (in_flight.to_vec(), held.to_vec());
        let busy = in_flight.iter().chain(held).any(|count| *count > 0);
        self.quiet = if busy { None } else { self.quiet.or(Some(self.now)) };
    }

    fn decide(&mut self) -> Decision {
        let levels = self.in_flight.iter().zip(&self.held);
        let said = levels.map(|(in_flight, held)| Said { at: self.now, in_flight: *in_flight, held: *held }).collect();
        let quiet = self.quiet.map(|quiet| self.now - quiet);
        let idle = Idle { quiet, known: self.in_flight.len(), unknown: self.unknown };
        let load = Load { said, idle, ready: self.ready };
        let serving = self.view.revisions[0].clone();
        self.judge.decide(&self.view, &serving, &load, self.now)
    }

    /// Seconds pass, each with a report of each activator and a decision that is carried out.
    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let from = self.now;
            self.now += SECOND;
            for (in_flight, held) in self.in_flight.iter().zip(&self.held) {
                let added = Added {
                    in_flight_request_ms: u64::from(*in_flight) * 1000,
                    held_request_ms: u64::from(*held) * 1000,
                    requests: u64::from(*in_flight),
                };
                self.judge.record(&[Loaded { from, to: self.now, added }], self.now);
            }
            match self.decide() {
                Decision::Raise(to) | Decision::Lower(to) => self.become_(to),
                Decision::Zero(_) => self.become_(0),
                Decision::Keep | Decision::Blocked => {}
            }
        }
    }

    fn become_(&mut self, replicas: i32) {
        self.view.revisions[0].replicas = replicas;
        self.ready = replicas;
    }
}

#[test]
fn a_step_in_load_is_met_at_the_report_that_tells_it() {
    let mut bench = Bench::new(1, 1);
    bench.load(&[4], &[0]);
    bench.seconds(30);
    assert_eq!(bench.view.revisions[0].replicas, 1);
    bench.load(&[10], &[60]);
    assert_eq!(bench.decide(), Decision::Raise(7));
    assert_eq!(bench.judge.sizing().unwrap().rule, Rule::Instant);
}

#[test]
fn who_starts_is_the_activators_affair_unless_there_are_several() {
    let mut one = Bench::new(1, 1);
    one.ready = 0;
    one.load(&[0], &[50]);
    assert_eq!(one.decide(), Decision::Keep, "it has asked for 5 itself");
    let mut two = Bench::new(2, 3);
    two.ready = 0;
    two.load(&[0, 0], &[25, 25]);
    assert_eq!(two.decide(), Decision::Raise(5), "each has asked for 3");
    // What always runs is raised to all the same.
    one.view.settings.min = 2;
    assert_eq!(one.decide(), Decision::Raise(2));
}

#[test]
fn what_somebody_else_lowered_to_zero_stays_there_until_a_request_waits() {
    let mut bench = Bench::new(2, 0);
    // The pod is on its way out, and the last report was made before its request ended.
    bench.ready = 1;
    bench.load(&[1, 0], &[0, 0]);
    assert_eq!(bench.decide(), Decision::Keep);
    bench.load(&[1, 0], &[0, 1]);
    assert_eq!(bench.decide(), Decision::Raise(1));
}

#[test]
fn fewer_are_enough_once_the_window_says_so_and_zero_once_nobody_called_for_a_window() {
    let mut bench = Bench::new(2, 4);
    bench.load(&[20, 20], &[0, 0]);
    bench.seconds(120);
    assert_eq!(bench.view.revisions[0].replicas, 4);
    bench.load(&[3, 2], &[0, 0]);
    bench.seconds(20);
    assert!((2..4).contains(&bench.view.revisions[0].replicas), "{}", bench.view.revisions[0].replicas);
    bench.seconds(60);
    assert_eq!(bench.view.revisions[0].replicas, 1);
    bench.load(&[0, 0], &[0, 0]);
    bench.seconds(59);
    assert_eq!(bench.view.revisions[0].replicas, 1);
    bench.seconds(1);
    assert_eq!(bench.view.revisions[0].replicas, 0);
}

#[test]
fn a_new_leader_lowers_nothing_before_a_window_has_passed() {
    let mut bench = Bench::new(1, 8);
    bench.load(&[5], &[0]);
    bench.seconds(59);
    assert_eq!(bench.view.revisions[0].replicas, 8);
    bench.seconds(30);
    assert!(bench.view.revisions[0].replicas < 8);
}

#[test]
fn what_is_not_known_lowers_nothing_and_what_is_known_raises() {
    let mut bench = Bench::new(1, 4);
    bench.seconds(120);
    assert_eq!(bench.view.revisions[0].replicas, 0, "all heard");
    let mut bench = Bench::new(1, 4);
    bench.unknown = 1;
    bench.seconds(120);
    assert_eq!((bench.decide(), bench.view.revisions[0].replicas), (Decision::Blocked, 4));
    bench.load(&[60], &[0]);
    assert_eq!(bench.decide(), Decision::Raise(6));
}

#[test]
fn stopped_and_failed_come_before_any_load() {
    let mut bench = Bench::new(1, 2);
    bench.load(&[9], &[0]);
    bench.view.fixed = Some(0);
    assert_eq!(bench.decide(), Decision::Zero(Why::Stopped));
    bench.unknown = 1;
    assert_eq!(bench.decide(), Decision::Blocked);
    bench.view.revisions[0].failed = true;
    assert_eq!(bench.decide(), Decision::Zero(Why::Failed), "no request can be in one of its pods");
    bench.become_(0);
    assert_eq!(bench.decide(), Decision::Keep);
}

#[test]
fn a_number_that_is_set_by_hand_is_kept_whatever_the_load_and_the_bounds() {
    let mut bench = Bench::new(1, 4);
    bench.view.fixed = Some(30);
    assert_eq!(bench.decide(), Decision::Raise(30), "above max");
    bench.become_(30);
    bench.load(&[0], &[0]);
    for _ in 0..600 {
        bench.now += SECOND;
        assert_eq!(bench.decide(), Decision::Keep, "long past every window");
    }
    bench.load(&[5000], &[500]);
    assert_eq!(bench.decide(), Decision::Keep);
    bench.view.settings.min = 10;
    bench.view.fixed = Some(3);
    assert_eq!(bench.decide(), Decision::Lower(3), "below min, and at once");
    assert_eq!(bench.judge.sizing(), None);
    bench.unknown = 1;
    assert_eq!(bench.decide(), Decision::Blocked, "a drain needs every activator");
    bench.become_(0);
    assert_eq!(bench.decide(), Decision::Raise(3), "a raise needs none");
}

#[test]
fn back_in_auto_it_begins_at_the_number_that_it_finds() {
    let mut bench = Bench::new(1, 8);
    bench.view.fixed = Some(8);
    bench.load(&[10], &[0]);
    bench.seconds(120);
    bench.view.fixed = None;
    bench.seconds(59);
    assert_eq!(bench.view.revisions[0].replicas, 8, "not before a whole window has been seen");
    bench.seconds(120);
    assert_eq!(bench.view.revisions[0].replicas, 1);
}

/// A call of a second every five minutes, with a fixed window of one minute.
#[test]
fn a_function_that_wants_it_is_kept_for_as_long_as_its_own_pauses_last() {
    let mut bench = Bench::new(1, 1);
    bench.view.adaptive = true;
    let call = |bench: &mut Bench| {
        bench.become_(1);
        bench.load(&[1], &[0]);
        bench.seconds(1);
        bench.load(&[0], &[0]);
    };
    for _ in 0..12 {
        call(&mut bench);
        bench.seconds(299);
    }
    call(&mut bench);
    // The pauses lie in the bin that ends after six minutes; a tenth more is 396 s.
    bench.seconds(395);
    assert_eq!(bench.view.revisions[0].replicas, 1);
    bench.seconds(1);
    assert_eq!(bench.view.revisions[0].replicas, 0);
    // As soon as it is not wanted any more, nothing is remembered.
    call(&mut bench);
    bench.view.adaptive = false;
    bench.seconds(60);
    assert_eq!(bench.view.revisions[0].replicas, 0);
    assert!(bench.judge.adaptive.is_none());
}

#[test]
fn what_is_learnt_stays_within_the_bounds_of_a_window() {
    let settings = Settings { stable_window: WINDOW, ..Settings::default() };
    let after = |minutes: u64| {
        let mut adaptive = Adaptive::default();
        (0..20).for_each(|_| adaptive.count(Duration::from_secs(60 * minutes)));
        learnt(&adaptive, &settings)
    };
    assert_eq!(after(60), LONGEST_WINDOW, "learnt: 67 minutes");
    assert_eq!(after(1), Duration::from_secs(132));
    assert_eq!(after(600), WINDOW, "nothing is learnt from what is beyond an hour");
}

#[test]
fn max_is_kept_and_fewer_than_before_are_drained() {
    let mut bench = Bench::new(1, 1);
    bench.load(&[10], &[10_000]);
    assert_eq!(bench.decide(), Decision::Raise(20));
    let mut lowered = Bench::new(1, 20);
    lowered.view.settings.max = 5;
    lowered.load(&[90], &[0]);
    assert_eq!(lowered.decide(), Decision::Lower(5));
}
