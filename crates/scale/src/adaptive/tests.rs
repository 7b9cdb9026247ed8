use proptest::prelude::*;

use super::*;

const FIXED: Duration = Duration::from_secs(60);

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

fn counted(idles: impl IntoIterator<Item = (u64, u32)>) -> Adaptive {
    let mut adaptive = Adaptive::default();
    for (of, times) in idles {
        (0..times).for_each(|_| adaptive.count(minutes(of)));
    }
    adaptive
}

#[test]
fn table() {
    type Idles = &'static [(u64, u32)];
    let table: [(Idles, Option<u64>); 10] = [
        (&[], None),
        // Too few.
        (&[(5, 9)], None),
        // [5, 6) ends at 6, and 10 % are 36 s.
        (&[(5, 10)], Some(396)),
        // 1 of 100 is beyond the percentile, 2 of 100 are not.
        (&[(5, 99), (50, 1)], Some(396)),
        (&[(5, 98), (50, 2)], Some(51 * 66)),
        // The shortest and the longest.
        (&[(1, 20)], Some(132)),
        (&[(60, 20)], Some(61 * 66)),
        // Below a bin: they cost nothing.
        (&[(0, 500)], None),
        // More beyond the bins than within.
        (&[(5, 20), (61, 20)], Some(396)),
        (&[(5, 20), (600, 21)], None),
    ];
    for (idles, seconds) in table {
        assert_eq!(counted(idles.iter().copied()).learnt(), seconds.map(Duration::from_secs), "{idles:?}");
    }
    assert_eq!(counted([(5, 9)]).window(FIXED), FIXED);
    assert_eq!(counted([(5, 10)]).window(FIXED), Duration::from_secs(396));
}

#[test]
fn idle_times_that_are_spread_evenly_say_nothing() {
    assert_eq!(counted((1..=60).map(|of| (of, 4))).learnt(), None);
    // k even bins of 60 have sqrt(60 / k − 1): 2 at k = 12.
    assert!(counted((1..=11).map(|of| (of, 4))).learnt().is_some());
    assert_eq!(counted((1..=13).map(|of| (of, 4))).learnt(), None);
}

#[test]
fn old_habits_are_forgotten() {
    let mut adaptive = counted([(50, 900)]);
    assert_eq!(adaptive.learnt(), Some(Duration::from_secs(51 * 66)));
    for _ in 0..8_000 {
        adaptive.count(minutes(2));
    }
    assert_eq!(adaptive.learnt(), Some(Duration::from_secs(3 * 66)));
}

#[test]
fn it_reads_the_idle_clock() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let idle = |quiet: Option<u64>| Idle { quiet: quiet.map(Duration::from_secs), known: 1, unknown: 0 };
    let mut adaptive = Adaptive::default();
    // Quiet since 10; nobody looks while it sleeps; a call at 310.
    adaptive.observe(at(20), &idle(Some(10)));
    adaptive.observe(at(70), &idle(Some(60)));
    adaptive.observe(at(310), &idle(None));
    adaptive.observe(at(311), &idle(None));
    // Quiet since 311; the next call came and went between two looks, and ended at 431.
    adaptive.observe(at(320), &idle(Some(9)));
    adaptive.observe(at(440), &idle(Some(9)));
    // Nobody is heard: no word on when it ended.
    adaptive.observe(at(900), &Idle { quiet: None, known: 0, unknown: 1 });
    let bins = adaptive.bins.as_deref().unwrap();
    let counts: Vec<_> = bins.iter().enumerate().filter(|(_, count)| **count > 0).collect();
    // 300 s and 120 s.
    assert_eq!(counts, [(1, &1), (4, &1)]);
    assert_eq!(adaptive.since, Some(at(431)));
}

proptest! {
    #[test]
    fn in_bounds_and_small(idles in prop::collection::vec(0_u64..20_000, 0..3_000)) {
        let mut adaptive = Adaptive::default();
        for seconds in idles {
            adaptive.count(Duration::from_secs(seconds));
            prop_assert!(adaptive.inside() + u32::from(adaptive.beyond) < MEMORY);
        }
        let window = adaptive.window(FIXED);
        prop_assert!(window == FIXED || (Duration::from_secs(132)..=Duration::from_secs(4026)).contains(&window));
        prop_assert!(size_of::<Adaptive>() <= 40);
    }
}
