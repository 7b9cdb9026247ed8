use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn the_latest_activity_of_any_activator_counts() {
    let start = Instant::now();
    let now = start + 100 * SECOND;
    let quiet = |seconds: u32| Seen::Quiet(now - seconds * SECOND);
    let table: &[(&[Seen], Option<u32>, usize, usize)] = &[
        (&[], None, 0, 0),
        (&[quiet(7)], Some(7), 1, 0),
        (&[quiet(70), quiet(7)], Some(7), 2, 0),
        (&[quiet(70), Seen::Busy], None, 2, 0),
        (&[quiet(70), Seen::Unknown], Some(70), 1, 1),
        (&[Seen::Unknown], None, 0, 1),
        (&[Seen::Quiet(now + SECOND)], Some(0), 1, 0),
    ];
    for (seen, seconds, known, unknown) in table {
        let idle = IdleClock::default().observe(now, seen.iter().copied());
        let expected = Idle { quiet: seconds.map(|s| s * SECOND), known: *known, unknown: *unknown };
        assert_eq!(idle, expected, "{seen:?}");
        assert_eq!(idle.complete(), *known > 0 && *unknown == 0);
    }
}

#[test]
fn activity_outlives_the_activator_that_saw_it() {
    let start = Instant::now();
    let mut clock = IdleClock::default();
    clock.observe(start, [Seen::Busy, Seen::Quiet(start - 5 * SECOND)]);
    let idle = clock.observe(start + 20 * SECOND, [Seen::Quiet(start - 5 * SECOND)]);
    assert_eq!(idle.quiet, Some(20 * SECOND));
}

#[test]
fn a_wake_counts_as_activity() {
    let start = Instant::now();
    let mut clock = IdleClock::default();
    clock.touch(start);
    clock.touch(start - SECOND);
    let idle = clock.observe(start + 3 * SECOND, [Seen::Quiet(start - 500 * SECOND)]);
    assert_eq!(idle.quiet, Some(3 * SECOND));
}
