//! When a caller that is turned away had better come back: when there is likely to be room for it. Pure but for
//! [`tell`], which looks and draws.

use std::time::Duration;

use tokio::time::Instant;

use crate::function::Function;
use crate::path::fault::{Failure, Fault};

/// Of a function of which no start has been seen: that of a small image which the node has.
const START: Duration = Duration::from_secs(2);
/// What keeps a function from starting is mended by somebody, or tried again by Kubernetes.
const MENDED: Duration = Duration::from_secs(5);
/// Somebody has switched the function off.
const SWITCHED_ON: Duration = Duration::from_secs(30);
/// No caller is sent away for longer. What lies further ahead is guesswork.
const MOST: u64 = 60;
/// By this share of the time callers that are refused together are spread, to either side, and by a second at least.
const SPREAD: f64 = 0.25;

/// What is known of the time that it takes until a function has room for one request more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Outlook {
    /// No pod is ready: how long a start takes, where one was seen, and for how long this one has been under way.
    start: Option<(Option<Duration>, Duration)>,
    /// Requests that wait, in the queue or at pods.
    waiting: u64,
    /// Of these the pods answer so many a second, where it was seen.
    rate: Option<f64>,
}

/// The seconds that the caller of this request is told to wait, if any.
pub fn tell(failure: &Failure, now: Instant) -> Option<u64> {
    let outlook = || failure.function.as_ref().map_or_else(Outlook::default, |function| Outlook::of(function, now));
    after(&failure.fault, outlook).map(|after| seconds(after, rand::random()))
}

impl Outlook {
    fn of(function: &Function, now: Instant) -> Self {
        let start = (!function.any_ready()).then(|| function.wakes.outlook(now));
        Self { start, waiting: function.waiting(), rate: function.drain.rate() }
    }

    /// Until there is room. A start that takes longer than they do is taken for half done.
    fn wait(self) -> Duration {
        let start = self.start.map_or(Duration::ZERO, |(usual, underway)| {
            // What is left, or by how much it is late.
            usual.unwrap_or(START).abs_diff(underway)
        });
        // Where nothing is known of the rate, whoever comes back finds out.
        let drain = self.rate.filter(|_| self.waiting > 0).map_or(0.0, |rate| self.waiting as f64 / rate);
        start.saturating_add(Duration::try_from_secs_f64(drain).unwrap_or(Duration::MAX))
    }
}

/// Until a caller that got this answer may come back, if that makes sense.
fn after(fault: &Fault, outlook: impl FnOnce() -> Outlook) -> Option<Duration> {
    match fault {
        Fault::QueueFull(_) | Fault::Overloaded => Some(outlook().wait()),
        Fault::StartFailed { .. } | Fault::WakeRefused(_) | Fault::ColdStartDeadline(_) => Some(MENDED),
        Fault::Paused | Fault::ScaledToZeroByHand(_) => Some(SWITCHED_ON),
        _ => None,
    }
}

/// What one of those who are told so is told: whole seconds, from 1 to [`MOST`]. `draw` is from 0 to 1, another for each, so
/// that they do not all come back at once.
fn seconds(after: Duration, draw: f64) -> u64 {
    let after = after.as_secs_f64().clamp(1.0, MOST as f64);
    let least = (after * (1.0 - SPREAD)).round().max(1.0);
    let most = (after * (1.0 + SPREAD)).round().max(least + 1.0).min(MOST as f64);
    // Each of the seconds is as likely as the next.
    let drawn = least + (draw.clamp(0.0, 1.0) * (most - least + 1.0)).floor();
    // Between 1 and 60, and whole.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = drawn.min(most) as u64;
    seconds
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::function::Key;
    use crate::path::fault::Share;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_wait_is_the_rest_of_the_start_and_the_time_of_those_before() {
        for (start, waiting, rate, wait) in [
            (None, 0, None, 0),
            (None, 1000, None, 0),
            (None, 1000, Some(100.0), 10_000),
            (None, 0, Some(100.0), 0),
            (None, 0, Some(0.0), 0),
            (Some((None, 0)), 0, None, 2000),
            (Some((None, 500)), 1000, None, 1500),
            (Some((Some(8000), 0)), 0, None, 8000),
            (Some((Some(8000), 3000)), 0, None, 5000),
            (Some((Some(8000), 3000)), 1000, Some(500.0), 7000),
            // It takes longer than usual.
            (Some((Some(8000), 8000)), 0, None, 0),
            (Some((Some(8000), 30_000)), 0, None, 22_000),
        ] {
            let of = |(usual, underway): (Option<u64>, u64)| (usual.map(ms), ms(underway));
            let outlook = Outlook { start: start.map(of), waiting, rate };
            assert_eq!(outlook.wait(), ms(wait), "{outlook:?}");
        }
        let stuck = Outlook { start: None, waiting: 1, rate: Some(0.0) };
        assert_eq!(stuck.wait(), Duration::MAX);
    }

    #[test]
    fn only_what_passes_has_a_time() {
        let outlook = || Outlook { start: None, waiting: 70, rate: Some(10.0) };
        let failed = Fault::StartFailed { reason: "r".into(), message: "m".into() };
        for (fault, wait) in [
            (Fault::QueueFull(Share::Function), Some(7)),
            (Fault::QueueFull(Share::Process), Some(7)),
            (Fault::Overloaded, Some(7)),
            (failed, Some(5)),
            (Fault::WakeRefused("no".into()), Some(5)),
            (Fault::ColdStartDeadline("no replica answers yet"), Some(5)),
            (Fault::Paused, Some(30)),
            (Fault::ScaledToZeroByHand(Key::new("shop", "hello")), Some(30)),
            (Fault::NoRoute, None),
            (Fault::RequestDeadline, None),
        ] {
            assert_eq!(after(&fault, outlook), wait.map(Duration::from_secs), "{fault}");
        }
    }

    #[test]
    fn those_who_are_refused_together_do_not_come_back_together() {
        for (after, told) in [
            (0, 1..=2),
            (1000, 1..=2),
            (1400, 1..=2),
            (4000, 3..=5),
            (20_000, 15..=25),
            (60_000, 45..=60),
            (u64::MAX, 45..=60),
        ] {
            let seen: std::collections::BTreeSet<_> =
                (0..=1000).map(|draw| seconds(ms(after), f64::from(draw) / 1000.0)).collect();
            assert_eq!(seen, told.collect(), "{after} ms");
        }
    }

    fn outlook() -> impl Strategy<Value = Outlook> {
        let start = proptest::option::of((proptest::option::of(0u64..100_000), 0u64..100_000));
        (start, 0u64..100_000, proptest::option::of(0.0f64..100_000.0)).prop_map(|(start, waiting, rate)| Outlook {
            start: start.map(|(usual, underway)| (usual.map(ms), ms(underway))),
            waiting,
            rate,
        })
    }

    proptest! {
        /// Whatever is known: within the bounds, and near what it is made of.
        #[test]
        fn a_time_has_bounds(outlook in outlook(), draw in 0.0f64..=1.0) {
            let told = seconds(outlook.wait(), draw);
            prop_assert!((1..=MOST).contains(&told));
            let wait = outlook.wait().as_secs_f64().clamp(1.0, MOST as f64);
            prop_assert!((told as f64 - wait).abs() <= wait * SPREAD + 1.0);
        }

        /// Nobody is told less because more wait, or fewer are answered.
        #[test]
        fn more_that_wait_take_no_less(outlook in outlook(), more in 0u64..100_000, slower in 0.0f64..=1.0, draw in 0.0f64..=1.0) {
            let told = seconds(outlook.wait(), draw);
            let longer = Outlook { waiting: outlook.waiting + more, ..outlook };
            prop_assert!(seconds(longer.wait(), draw) >= told);
            let slower = Outlook { rate: outlook.rate.map(|rate| rate * slower), ..outlook };
            prop_assert!(seconds(slower.wait(), draw) >= told);
        }
    }
}
