use scale::Settings;

use super::*;
use crate::policy::{KeepAlive, Rouse};

const REPLICA: Replica = Replica { cold_start: 250, target: 10 };

fn settings() -> Settings {
    Settings { target: Some(10.0), ..Settings::default() }
}

fn outcome(arrivals: &[Arrival], mut policy: impl Policy, minutes: usize) -> Outcome {
    let mut outcome = Outcome::new(minutes);
    run(arrivals, &mut policy, REPLICA, &mut outcome);
    assert_eq!(outcome.minutes.iter().sum::<u64>(), outcome.existed);
    outcome
}

/// One request of 100 ms every so many minutes, from the first minute on.
fn every(minutes: u64, times: u64) -> Vec<Arrival> {
    (0..times).map(|time| Arrival { at: time * minutes * MINUTE_MS + 1, requests: 1, takes: 100 }).collect()
}

#[test]
fn a_keep_alive_that_is_too_short_wakes_each_time_and_one_that_is_not_only_once() {
    let short = outcome(&every(5, 12), KeepAlive::new(&settings(), 1), 60);
    assert_eq!((short.requests, short.wakes), (12, 12));
    assert_eq!(short.held.iter().collect::<Vec<_>>(), [(&250, &12)]);
    // 250 ms of start, 100 ms of work, and a minute, looked at every second, in slots of a 64th of the minute.
    assert!((12 * 60_000..12 * 62_500).contains(&short.existed), "{}", short.existed);
    assert_eq!(short.wasted, short.existed - 12 * 350);

    let long = outcome(&every(5, 12), KeepAlive::new(&settings(), 10), 60);
    assert_eq!((long.requests, long.wakes, long.held.values().sum::<u64>()), (12, 1, 1));
    // From the first request to the end.
    assert_eq!(long.existed, 60 * 60_000 - 1);
    assert_eq!(long.wasted, long.existed - 250 - 12 * 100);
}

#[test]
fn ours_lets_go_after_the_idle_window_and_the_adaptive_one_learns_to_stay() {
    let fixed = outcome(&every(5, 40), Rouse::new(settings(), false), 200);
    assert_eq!((fixed.requests, fixed.wakes), (40, 40));
    assert!((40 * 60_000..40 * 61_500).contains(&fixed.existed), "{}", fixed.existed);
    // Ten idle times of [4, 5) minutes, then it stays.
    let adaptive = outcome(&every(5, 40), Rouse::new(settings(), true), 200);
    assert_eq!(adaptive.wakes, 11);
    assert!(adaptive.existed > 28 * 5 * 60_000, "{}", adaptive.existed);
}

#[test]
fn a_burst_on_nothing_gets_all_it_needs_at_once() {
    // 64 at once: ceil(64 / 7) = 10 replicas, all of them asked for by the first look.
    let burst = [Arrival { at: 5, requests: 64, takes: 1_000 }];
    let ours = outcome(&burst, Rouse::new(settings(), false), 1);
    assert_eq!(ours.held.iter().collect::<Vec<_>>(), [(&250, &64)]);
    assert_eq!(ours.wakes, 1);
    // Ten for the start and the second; wasted are three of the ten, for seven can take 64.
    assert!(ours.existed >= 10 * 1250, "{}", ours.existed);
    // The keep-alive starts the seven.
    let kept = outcome(&burst, KeepAlive::new(&settings(), 10), 1);
    assert_eq!(kept.existed, 7 * (60_000 - 5));
    assert_eq!(kept.wasted, 7 * (60_000 - 5) - 7 * 1250);
}

#[test]
fn the_first_replica_up_does_not_get_the_whole_queue() {
    // One replica is asked for, and 250 ms later, with the second group held, more.
    let arrivals = [Arrival { at: 0, requests: 5, takes: 10_000 }, Arrival { at: 100, requests: 30, takes: 10 }];
    let ours = outcome(&arrivals, Rouse::new(settings(), false), 1);
    // The five start with the first replica at 250; the 30, one group, as well, for there is room for one.
    assert_eq!(ours.held.values().sum::<u64>(), 35);
    assert!(ours.held.keys().all(|held| *held <= 250), "{:?}", ours.held);
}
