use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);
const WINDOWS: Windows = Windows { stable: Duration::from_secs(60), panic: Duration::from_secs(6) };

fn origin() -> Instant {
    Instant::now() + Duration::from_secs(100_000)
}

fn requests_at_once(level: u64, length: Duration) -> Delta {
    Delta { in_flight_ms: level * u64::try_from(length.as_millis()).unwrap(), ..Delta::default() }
}

fn linear(load: &Load, now: Instant) -> (f64, f64) {
    let averages = load.averages(now, Metric::Concurrency, Averaging::Linear, &[]);
    (averages.stable, averages.panic)
}

#[test]
fn it_divides_by_the_time_since_the_first_write() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    assert_eq!(linear(&load, start), (0.0, 0.0));
    // At least by a second: 100 at once for 10 ms.
    let moment = Duration::from_millis(10);
    load.record(start + moment, start, start + moment, requests_at_once(100, moment));
    assert_eq!(linear(&load, start + moment), (1.0, 1.0));
    // 12 at once for 3 s, then 24 for 3 s: 18 in both windows.
    let mut load = Load::new(WINDOWS);
    load.record(start + 3 * S, start, start + 3 * S, requests_at_once(12, 3 * S));
    load.record(start + 6 * S, start + 3 * S, start + 6 * S, requests_at_once(24, 3 * S));
    assert_eq!(linear(&load, start + 6 * S), (18.0, 18.0));
    // 4 s later, of which each was told: (36 + 72) / 10 and (0 × 4 + 24 × 2) / 6.
    load.vouch(start + 10 * S);
    assert_eq!(linear(&load, start + 10 * S), (10.8, 8.0));
    // At 60 s the window is full, and then it slides.
    load.vouch(start + 60 * S);
    assert_eq!(linear(&load, start + 60 * S), (1.8, 0.0));
    load.vouch(start + 63 * S);
    assert_eq!(linear(&load, start + 63 * S), (1.2, 0.0));
}

#[test]
fn a_gap_leaves_what_remains_valid_and_a_whole_window_nothing() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    load.record(start + 60 * S, start, start + 60 * S, requests_at_once(5, 60 * S));
    // Nobody is heard: 5 at once for the 40 s that are left.
    assert_eq!(linear(&load, start + 80 * S), (5.0, 0.0));
    // The panic window has 2 s left.
    assert_eq!(linear(&load, start + 64 * S), (5.0, 5.0));
    assert_eq!(linear(&load, start + 120 * S), (0.0, 0.0));
    // After the gap it begins anew: one second at 10, not one of 61.
    load.record(start + 131 * S, start + 130 * S, start + 131 * S, requests_at_once(10, S));
    assert_eq!(linear(&load, start + 131 * S), (10.0, 10.0));
}

#[test]
fn held_and_in_flight_count_once_each_and_requests_apart() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    let delta = Delta { in_flight_ms: 3_000, held_ms: 1_000, requests: 20 };
    load.record(start + 2 * S, start, start + 2 * S, delta);
    // Two activators at the same time add up.
    load.record(start + 2 * S, start, start + 2 * S, delta);
    let averages = |metric| load.averages(start + 2 * S, metric, Averaging::Linear, &[]);
    assert_eq!(averages(Metric::Concurrency), Averages { stable: 4.0, panic: 4.0 });
    assert_eq!(averages(Metric::RequestsPerSecond), Averages { stable: 20.0, panic: 20.0 });
}

#[test]
fn late_reports_have_their_place_old_ones_none_and_future_ones_end_now() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    let now = start + 60 * S;
    load.record(now, now - S, now, requests_at_once(60, S));
    // Three seconds late, and from before the first: the time of which anything is known grows.
    load.record(now, now - 4 * S, now - 3 * S, requests_at_once(60, S));
    assert_eq!(linear(&load, now), (30.0, 30.0));
    // Ended a whole window ago.
    load.record(now, start - S, start, requests_at_once(1_000_000, S));
    assert_eq!(linear(&load, now), (30.0, 30.0));
    // Half of it ended before the window.
    load.record(now, start - S, start + S, requests_at_once(60, 2 * S));
    assert_eq!(linear(&load, now), (3.0, 20.0));
    // Its sender's clock is ahead.
    load.record(now, now + 5 * S, now + 6 * S, requests_at_once(6, S));
    assert_eq!(linear(&load, now), (3.1, 21.0));
}

#[test]
fn what_was_said_last_holds_until_now() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    load.record(start + 50 * S, start, start + 50 * S, requests_at_once(8, 50 * S));
    load.vouch(start + 60 * S);
    let now = start + 60 * S;
    let said = [
        Said { at: start + 50 * S, in_flight: 6, held: 2 },
        // Another one, of which nothing is recorded yet; its word is from the future.
        Said { at: now + S, in_flight: 1000, held: 0 },
    ];
    let averages = load.averages(now, Metric::Concurrency, Averaging::Linear, &said);
    assert_eq!(averages, Averages { stable: 8.0, panic: 8.0 });
    let rate = load.averages(now, Metric::RequestsPerSecond, Averaging::Linear, &said);
    assert_eq!(rate, Averages { stable: 0.0, panic: 0.0 });
    // Weighted: the same level all the time is that level, up to the weight that sums to less than one.
    let weighted = load.averages(now, Metric::Concurrency, Averaging::Weighted, &said);
    assert!((weighted.stable - 8.0).abs() < 1e-4 && (weighted.panic - 8.0).abs() < 1e-4, "{weighted:?}");
    // And with nothing recorded at all.
    let mut load = Load::new(WINDOWS);
    load.vouch(start);
    load.vouch(start + 2 * S);
    let said = [Said { at: start + S, in_flight: 10, held: 0 }];
    let averages = load.averages(start + 2 * S, Metric::Concurrency, Averaging::Weighted, &said);
    assert!((averages.stable - 2.0).abs() < 1e-5, "{averages:?}");
    assert_eq!(load.averages(start + 2 * S, Metric::Concurrency, Averaging::Linear, &said).stable, 5.0);
}

#[test]
fn weighted_is_nothing_after_a_window_without_a_word() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    load.record(start + S, start, start + S, requests_at_once(1_000_000, S));
    let weighted = |now| load.averages(now, Metric::Concurrency, Averaging::Weighted, &[]);
    assert!(weighted(start + 60 * S).stable > 0.0);
    assert_eq!(weighted(start + 61 * S).stable, 0.0);
    assert_eq!(weighted(start + 7 * S).panic, 0.0);
}

#[test]
fn a_new_window_keeps_what_both_know() {
    let start = origin();
    let mut load = Load::new(WINDOWS);
    for second in 0..60 {
        let from = start + S * second;
        load.record(from + S, from, from + S, requests_at_once(if second < 30 { 10 } else { 20 }, S));
    }
    let now = start + 60 * S;
    assert_eq!(linear(&load, now), (15.0, 20.0));
    load.resize(now, Windows { stable: 20 * S, panic: 2 * S });
    assert_eq!(linear(&load, now), (20.0, 20.0));
    // Back to a longer one: of what is older than 20 s nothing is known any more, and nothing is made up.
    load.resize(now, Windows { stable: 600 * S, panic: 60 * S });
    assert_eq!(linear(&load, now), (20.0, 20.0));
}

proptest! {
    /// The averages equal those of the full list of reports: within a hundredth of the window's length of the highest
    /// load there was, whatever the windows, the reporters and the order.
    #[test]
    fn as_the_full_list_of_reports(
        stable in 6_u64..600,
        levels in prop::collection::vec(prop::collection::vec((0_u64..400, 5_u64..1_000), 1..60), 1..4),
        silence in 0_u64..700,
    ) {
        let start = origin();
        let windows = Windows::new(Duration::from_secs(stable), 10.0);
        let mut load = Load::new(windows);
        let mut reports = Vec::new();
        let mut end = start;
        for activator in &levels {
            let mut at = start;
            for (level, milliseconds) in activator {
                let from = at;
                // Reports stretch with the window, so that some of them leave it.
                at += Duration::from_millis(milliseconds * stable / 20);
                let length = u64::try_from(at.duration_since(from).as_millis()).unwrap();
                reports.push((from, at, level * length));
            }
            end = end.max(at);
        }
        // One activator after the other: as far out of order as can be. None is older than the window where it is told.
        for (from, to, in_flight_ms) in &reports {
            load.record((*to).max(start), *from, *to, Delta { in_flight_ms: *in_flight_ms, ..Delta::default() });
        }
        let now = end + Duration::from_millis(silence);
        load.vouch(now);
        let got = load.averages(now, Metric::Concurrency, Averaging::Linear, &[]);
        let peak: u64 = levels.iter().map(|of| of.iter().map(|(level, _)| *level).max().unwrap_or(0)).sum();
        #[allow(clippy::cast_precision_loss)]
        let peak = peak as f64;
        for (length, got) in [(windows.stable, got.stable), (windows.panic, got.panic)] {
            let edge = now - length;
            let exact: f64 = reports.iter().map(|(from, to, request_ms)| {
                let inside = to.saturating_duration_since((*from).max(edge)).as_secs_f64();
                #[allow(clippy::cast_precision_loss)]
                let request_seconds = *request_ms as f64 / 1000.0;
                request_seconds * inside / to.duration_since(*from).as_secs_f64()
            }).sum();
            let span = now.duration_since(edge.max(start)).max(SHORTEST_SPAN).as_secs_f64();
            let tolerance = peak * length.as_secs_f64() / 100.0 / span + 1e-5;
            prop_assert!((got - exact / span).abs() <= tolerance, "{got} {} {tolerance}", exact / span);
        }
    }
}
