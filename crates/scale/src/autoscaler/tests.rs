//! Knative's published semantics as tables, with numbers computed by hand.

use std::time::Duration;

use super::*;
use crate::goal::Goal;

/// A goal of so much per replica, rates of ten and a threshold of two: the values of Knative's own unit tests.
fn settings() -> Settings {
    Settings { max_up_rate: 10.0, max_down_rate: 10.0, ..Settings::default() }
}

fn situation(goal: f64, ready: i32, stable: f64, panic: f64) -> Situation {
    let goal = Goal { total: goal / 0.75, goal };
    Situation { averages: Averages { stable, panic }, goal, ready, instant: None, serving: true }
}

fn at(start: Instant, seconds: u64) -> Instant {
    start + Duration::from_secs(seconds)
}

#[test]
fn one_decision() {
    let table = [
        // goal, ready, stable, panic → result, in panic.
        // 21/181 and 26/181 of a replica.
        (181.0, 1, 21.0, 26.0, 1, false),
        // ceil(50/10) = 5 at once; 5/1 is over the threshold.
        (10.0, 1, 50.0, 50.0, 5, true),
        (10.0, 1, 50.0, 49.0, 5, true),
        // Panic alone would say 1; one replica's worth is not over.
        (10.0, 1, 50.0, 10.0, 5, false),
        // Warm at the right size: 5/5 is not over.
        (10.0, 5, 50.0, 50.0, 5, false),
        // The panic average is larger and over: 10.
        (10.0, 1, 50.0, 100.0, 10, true),
        // The panic average is larger, and not over (15/8 < 2): the stable one decides.
        (10.0, 8, 80.0, 150.0, 8, false),
        // Exactly twice is over.
        (10.0, 5, 50.0, 100.0, 10, true),
        // 100 are wanted and 1 is ready: at most ten times as many, then ten times again.
        (10.0, 1, 1000.0, 1001.0, 10, true),
        (10.0, 10, 1000.0, 1001.0, 100, true),
        // None ready counts as one.
        (10.0, 0, 1000.0, 888.0, 10, true),
        // 1 is wanted and 100 are ready: at least a tenth, then a tenth again.
        (10.0, 100, 1.0, 1.0, 10, false),
        (10.0, 10, 1.0, 1.0, 1, false),
        // 8 → 5: within a tenth.
        (10.0, 8, 50.0, 50.0, 5, false),
        // No load: Knative says 0, and here only the idle clock does.
        (10.0, 1, 0.0, 0.0, 1, false),
        (10.0, 0, 0.0, 0.0, 1, false),
    ];
    for (goal, ready, stable, panic, replicas, panicking) in table {
        let now = Instant::now();
        let mut autoscaler = Autoscaler::default();
        let (result, _) = autoscaler.scale(now, &situation(goal, ready, stable, panic), &settings());
        assert_eq!((result, autoscaler.panicking()), (replicas, panicking), "{goal} {ready} {stable} {panic}");
    }
}

#[test]
fn a_small_rate_still_takes_a_step() {
    let now = Instant::now();
    // ceil(1.1 × 2) = 3; the panic average, 4, is over (4/2), and limited to the same 3.
    let up = Settings { max_up_rate: 1.1, ..settings() };
    assert_eq!(Autoscaler::default().scale(now, &situation(1.0, 2, 3.0, 3.1), &up), (3, Rule::Stable));
    // floor(100 / 1.1) = 90.
    let down = Settings { max_down_rate: 1.1, ..settings() };
    assert_eq!(Autoscaler::default().scale(now, &situation(10.0, 100, 1.0, 1.0), &down).0, 90);
    // Without traffic the limit is 0, and one is the least.
    let unreachable = Situation { serving: false, ..situation(10.0, 100, 1.0, 1.0) };
    assert_eq!(Autoscaler::default().scale(now, &unreachable, &down).0, 1);
    // The defaults: by half, and a thousand times.
    let default = Settings::default();
    assert_eq!(Autoscaler::default().scale(now, &situation(10.0, 7, 1.0, 1.0), &default).0, 3);
    assert_eq!(Autoscaler::default().scale(now, &situation(0.01, 1, 999.0, 0.0), &default).0, 1000);
    // A rate that would turn round is one: nothing moves.
    let still = Settings { max_up_rate: 0.5, max_down_rate: f64::NAN, ..settings() };
    assert_eq!(Autoscaler::default().scale(now, &situation(1.0, 4, 9.0, 1.0), &still).0, 4);
    assert_eq!(Autoscaler::default().scale(now, &situation(1.0, 4, 1.0, 1.0), &still).0, 4);
}

#[test]
fn the_activation_scale_replaces_a_smaller_result_if_there_is_load() {
    let now = Instant::now();
    let settings = Settings { activation: 2, ..settings() };
    let scale = |stable, panic| Autoscaler::default().scale(now, &situation(10.0, 1, stable, panic), &settings);
    assert_eq!(scale(0.0, 0.0), (1, Rule::Stable));
    assert_eq!(scale(1.0, 0.0), (2, Rule::Activation));
    assert_eq!(scale(30.0, 0.0), (3, Rule::Stable));
    // It comes after the limits: 9 at most ten times 1, and yet 50.
    let far = Settings { activation: 50, ..settings };
    assert_eq!(Autoscaler::default().scale(now, &situation(10.0, 1, 1.0, 0.0), &far).0, 50);
}

#[test]
fn panic_only_rises_and_ends_after_a_stable_window() {
    let start = Instant::now();
    let mut autoscaler = Autoscaler::default();
    let mut scale = |seconds, ready, stable, panic| {
        let (result, _) = autoscaler.scale(at(start, seconds), &situation(10.0, ready, stable, panic), &settings());
        (result, autoscaler.panicking())
    };
    assert_eq!(scale(0, 10, 100.0, 100.0), (10, false));
    // 100/10 is over.
    assert_eq!(scale(1, 10, 100.0, 1000.0), (100, true));
    // The load is gone, and the number stays.
    assert_eq!(scale(31, 100, 1.0, 1.0), (100, true));
    // At the whole window it still does; after it, a tenth at a time.
    assert_eq!(scale(61, 100, 1.0, 1.0), (100, true));
    assert_eq!(scale(62, 100, 1.0, 1.0), (10, false));
    assert_eq!(scale(63, 10, 1.0, 1.0), (1, false));
}

#[test]
fn panic_is_extended_by_what_is_over_and_by_nothing_else() {
    let start = Instant::now();
    let mut autoscaler = Autoscaler::default();
    let mut scale = |seconds, ready, stable, panic| {
        autoscaler.scale(at(start, seconds), &situation(1.0, ready, stable, panic), &settings());
        autoscaler.panicking()
    };
    assert!(scale(0, 10, 11.0, 25.0));
    // 80/40 is over: extended.
    assert!(scale(30, 40, 30.0, 80.0));
    assert!(scale(90, 80, 50.0, 60.0));
    assert!(!scale(91, 80, 50.0, 60.0));

    let mut autoscaler = Autoscaler::default();
    let mut result = |seconds, ready, stable, panic| {
        autoscaler.scale(at(start, seconds), &situation(1.0, ready, stable, panic), &settings()).0
    };
    // A slow rise: 41/40 is not over, so it ends a window after the first jump.
    assert_eq!(result(0, 10, 11.0, 25.0), 25);
    assert_eq!(result(30, 40, 30.0, 41.0), 41);
    assert_eq!(result(62, 55, 50.0, 56.0), 50);
}

#[test]
fn in_panic_the_larger_average_counts() {
    let start = Instant::now();
    for (stable, panic, replicas, rule) in [(50.0, 30.0, 50, Rule::Stable), (20.0, 30.0, 30, Rule::Panic)] {
        let mut autoscaler = Autoscaler::new(start, 5);
        let result = autoscaler.scale(at(start, 5), &situation(1.0, 5, stable, panic), &settings());
        assert_eq!(result, (replicas, rule));
    }
}

#[test]
fn a_new_one_with_more_than_one_replica_starts_in_panic_at_that_number() {
    let start = Instant::now();
    for size in [0, 1] {
        assert!(!Autoscaler::new(start, size).panicking());
    }
    let mut new = Autoscaler::new(start, 4);
    assert_eq!(new.scale(start, &situation(10.0, 4, 0.0, 0.0), &settings()), (4, Rule::Panic));
    assert_eq!(new.scale(at(start, 60), &situation(10.0, 4, 0.0, 0.0), &settings()).0, 4);
    assert_eq!(new.scale(at(start, 61), &situation(10.0, 4, 0.0, 0.0), &settings()), (1, Rule::Stable));
}

#[test]
fn an_instant_raise_is_kept_until_the_stable_average_has_seen_it() {
    let start = Instant::now();
    let mut autoscaler = Autoscaler::default();
    let mut scale = |seconds, ready, stable, instant| {
        let situation = Situation { instant, ..situation(70.0, ready, stable, stable) };
        autoscaler.scale(at(start, seconds), &situation, &settings())
    };
    // 15 are needed where 10 are ready: no panic by the averages, and yet the next decision keeps it.
    assert_eq!(scale(0, 10, 690.0, Some(15)), (15, Rule::Instant));
    assert_eq!(scale(1, 10, 695.0, None), (15, Rule::Panic));
    assert_eq!(scale(60, 15, 700.0, None), (15, Rule::Panic));
    assert_eq!(scale(61, 15, 700.0, None), (10, Rule::Stable));
    // What the ready ones can do for themselves begins nothing.
    assert_eq!(scale(62, 10, 700.0, Some(9)), (10, Rule::Stable));
    assert!(!autoscaler.panicking());
}
