use proptest::prelude::*;

use super::*;

fn goal(metric: Metric, target: Option<f64>, hard_limit: u32, utilization_percent: f64) -> Goal {
    Goal::of(&Settings { metric, target, hard_limit, utilization_percent, ..Settings::default() })
}

#[test]
fn of_a_metric() {
    use Metric::{Concurrency, RequestsPerSecond};
    let table = [
        // metric, target, hard limit, percent → total, goal.
        (Concurrency, None, 0, 70.0, 100.0, 70.0),
        (Concurrency, Some(10.0), 0, 70.0, 10.0, 7.0),
        // The smaller of both; 0 is no candidate.
        (Concurrency, Some(10.0), 4, 50.0, 4.0, 2.0),
        (Concurrency, Some(4.0), 10, 50.0, 4.0, 2.0),
        // A limit alone is the total, below and above the default.
        (Concurrency, None, 12, 75.0, 12.0, 9.0),
        (Concurrency, None, 250, 100.0, 250.0, 250.0),
        (Concurrency, Some(0.01), 0, 10.0, 0.01, 0.01),
        // Another unit: neither the limit nor the floor belong here.
        (RequestsPerSecond, None, 1, 70.0, 200.0, 140.0),
        (RequestsPerSecond, Some(0.01), 1, 10.0, 0.01, 0.001),
        // What is no number is the default, what is no percentage the whole.
        (Concurrency, Some(f64::NAN), 0, 0.0, 100.0, 100.0),
        (Concurrency, Some(-1.0), 0, 250.0, 100.0, 100.0),
        (RequestsPerSecond, Some(f64::INFINITY), 0, f64::NAN, 200.0, 200.0),
    ];
    for (metric, target, limit, percent, total, per_replica) in table {
        let goal = goal(metric, target, limit, percent);
        assert!((goal.goal - per_replica).abs() < 1e-12, "{goal:?}");
        assert_eq!(goal.total, total);
    }
}

#[test]
fn of_a_wake_is_in_requests_at_once() {
    use Metric::{Concurrency, RequestsPerSecond};
    let table = [
        (Concurrency, None, 0, 100.0),
        (Concurrency, Some(5.0), 0, 5.0),
        // The hard limit first, even above the target.
        (Concurrency, Some(5.0), 10, 10.0),
        (RequestsPerSecond, Some(5.0), 10, 10.0),
        // Five requests a second say nothing about how many at once.
        (RequestsPerSecond, Some(5.0), 0, 100.0),
        (RequestsPerSecond, None, 0, 100.0),
    ];
    for (metric, target, limit, total) in table {
        let goal = Goal::of_wake(metric, target, limit, 50.0);
        assert_eq!((goal.total, goal.goal), (total, total / 2.0), "{metric:?} {target:?} {limit}");
    }
}

#[test]
fn replicas_of_a_load() {
    let table = [
        (7.0, 0.0, 0),
        (7.0, 0.001, 1),
        (7.0, 7.0, 1),
        (7.0, 7.001, 2),
        (7.0, 700.0, 100),
        // In binary, 7 / 0.7 and 2.1 / 0.7 are a little more than ten and three.
        (0.7, 7.0, 10),
        (0.7, 2.1, 3),
        (0.01, 1e300, i32::MAX),
        (0.01, f64::NAN, 0),
        (0.01, -5.0, 0),
    ];
    for (goal, load, replicas) in table {
        assert_eq!(Goal { total: 1.0, goal }.replicas(load), replicas, "{load} / {goal}");
        assert_eq!(Goal { total: goal, goal: 1.0 }.least(load), replicas, "{load} / {goal}");
    }
}

proptest! {
    #[test]
    fn enough_and_not_one_too_many(target in 1_u32..10_000, percent in 1_u32..=100, load in 1_u32..1_000_000) {
        let goal = goal(Metric::Concurrency, Some(f64::from(target)), 0, f64::from(percent));
        // In hundredths, so that the reference is whole numbers alone.
        let each = u64::from(target) * u64::from(percent);
        let replicas = (u64::from(load) * 100).div_ceil(each);
        prop_assert_eq!(u64::try_from(goal.replicas(f64::from(load))).unwrap(), replicas);
    }
}
