use std::time::Instant;

use proptest::prelude::*;

use super::*;
use crate::{IdleClock, Seen};

const WINDOW: Duration = Duration::from_secs(60);

fn policy(paused: bool, min: i32, max: i32) -> Policy {
    Policy { paused, min, max, window: WINDOW }
}

fn idle(quiet: Option<u64>, known: usize, unknown: usize) -> Idle {
    Idle { quiet: quiet.map(Duration::from_secs), known, unknown }
}

#[test]
fn table() {
    use Decision::{Blocked, Keep, Raise};
    let auto = policy(false, 0, 10);
    let table = [
        // Idle: only after the whole window, and only with everybody heard.
        (auto, 1, false, idle(Some(60), 2, 0), Decision::Zero(Zero::Idle)),
        (auto, 7, false, idle(Some(3600), 1, 0), Decision::Zero(Zero::Idle)),
        (auto, 1, false, idle(Some(59), 2, 0), Keep),
        (auto, 1, false, idle(None, 2, 0), Keep),
        (auto, 1, false, idle(Some(60), 1, 1), Blocked(Zero::Idle)),
        (auto, 1, false, idle(Some(60), 0, 0), Blocked(Zero::Idle)),
        (auto, 0, false, idle(Some(60), 2, 0), Keep),
        // Above max stays; this is not where it is lowered.
        (auto, 50, false, idle(None, 2, 0), Keep),
        // Min, and max over min.
        (policy(false, 2, 10), 0, false, idle(Some(999), 0, 3), Raise(2)),
        (policy(false, 2, 10), 1, false, idle(None, 1, 0), Raise(2)),
        (policy(false, 2, 10), 2, false, idle(Some(999), 1, 0), Keep),
        (policy(false, 9, 3), 0, false, idle(None, 0, 0), Raise(3)),
        // Paused, whatever min says.
        (policy(true, 2, 10), 3, false, idle(None, 2, 0), Decision::Zero(Zero::Paused)),
        (policy(true, 2, 10), 3, false, idle(None, 2, 1), Blocked(Zero::Paused)),
        (policy(true, 2, 10), 0, false, idle(None, 2, 0), Keep),
        // A failed start needs nobody's word, and is not raised to min while it lasts.
        (policy(false, 2, 10), 2, true, idle(None, 0, 2), Decision::Zero(Zero::Failed)),
        (policy(false, 2, 10), 0, true, idle(None, 2, 0), Keep),
    ];
    for (policy, replicas, failed, idle, decision) in table {
        assert_eq!(desired(&policy, replicas, failed, &idle), decision, "{policy:?} {replicas} {failed} {idle:?}");
    }
}

#[test]
fn a_candidate_only_rises() {
    assert_eq!(follow(0, 3), Some(3));
    assert_eq!(follow(3, 3), None);
    assert_eq!(follow(5, 3), None);
}

fn any_policy() -> impl Strategy<Value = Policy> {
    (any::<bool>(), 0..5, 1..5, 6_u64..3600).prop_map(|(paused, min, max, window)| Policy {
        paused,
        min,
        max,
        window: Duration::from_secs(window),
    })
}

fn any_idle() -> impl Strategy<Value = Idle> {
    (prop::option::of(0_u64..7200), 0_usize..4, 0_usize..4).prop_map(|(quiet, known, unknown)| Idle {
        quiet: quiet.map(Duration::from_secs),
        known,
        unknown,
    })
}

proptest! {
    #[test]
    fn what_is_unknown_is_never_a_zero(policy in any_policy(), replicas in 0..9, idle in any_idle()) {
        if let Decision::Zero(_) = desired(&policy, replicas, false, &idle) {
            prop_assert!(idle.complete());
        }
    }

    #[test]
    fn idleness_never_goes_below_min_nor_before_the_window(policy in any_policy(), replicas in 0..9, idle in any_idle()) {
        if desired(&policy, replicas, false, &idle) == Decision::Zero(Zero::Idle) {
            prop_assert_eq!(policy.floor(), 0);
            prop_assert!(idle.quiet.unwrap() >= policy.window);
        }
    }

    #[test]
    fn a_raise_raises_within_max(policy in any_policy(), replicas in 0..9, failed: bool, idle in any_idle()) {
        if let Decision::Raise(to) = desired(&policy, replicas, failed, &idle) {
            prop_assert!(to > replicas && to <= policy.max && !policy.paused && !failed);
        }
    }

    /// Requests of `busy` milliseconds, one every 0.8 windows or sooner, at any of three activators; each look of the
    /// leader comes up to 3 s apart, and an activator is heard or not at each.
    #[test]
    fn a_request_every_0_8_windows_keeps_it_alive(
        requests in prop::collection::vec((0_u64..=48_000, 0_u64..500, 0_usize..3), 1..20),
        looks in prop::collection::vec((1_u64..3000, any::<[bool; 3]>()), 1..400),
    ) {
        let start = Instant::now();
        let policy = policy(false, 0, 10);
        let mut clock = IdleClock::default();
        let mut spans = Vec::new();
        let mut at = 0;
        for (gap, busy, activator) in requests {
            spans.push((at, at + busy, activator));
            at += gap.max(busy);
        }
        let mut now = 0;
        for (step, heard) in looks {
            now += step;
            if now > at {
                break;
            }
            let seen = (0..3).map(|activator| {
                if !heard[activator] {
                    return Seen::Unknown;
                }
                let mut since = 0;
                for (from, to, of) in &spans {
                    if *of == activator && *from <= now {
                        if *to > now {
                            return Seen::Busy;
                        }
                        since = *to;
                    }
                }
                Seen::Quiet(start + Duration::from_millis(since))
            });
            let idle = clock.observe(start + Duration::from_millis(now), seen);
            let decision = desired(&policy, 1, false, &idle);
            prop_assert!(!matches!(decision, Decision::Zero(_)), "at {now} ms: {decision:?}, {idle:?}");
        }
    }
}
