use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_largest_of_the_delay() {
    let start = Instant::now();
    let mut delay = Delay::default();
    let mut hold = |seconds, result| delay.hold(start + Duration::from_secs(seconds), result, 5 * MINUTE);
    // A step down, seen at the very second the delay ends.
    assert_eq!(hold(2, 4), 4);
    assert_eq!(hold(300, 0), 4);
    assert_eq!(hold(302, 0), 0);
    // By and by: 4 at 9 min, 3 at 10, 0 at 11.
    assert_eq!(hold(540, 4), 4);
    assert_eq!(hold(600, 3), 4);
    assert_eq!(hold(660, 0), 4);
    assert_eq!(hold(839, 0), 4);
    assert_eq!(hold(840, 0), 3);
    assert_eq!(hold(900, 0), 0);
    // A larger one counts at once.
    assert_eq!(hold(901, 7), 7);
}

#[test]
fn no_delay_remembers_nothing() {
    let start = Instant::now();
    let mut delay = Delay::default();
    assert_eq!(delay.hold(start, 9, MINUTE), 9);
    assert!(!delay.is_empty());
    assert_eq!(delay.hold(start, 2, Duration::ZERO), 2);
    assert!(delay.is_empty());
    assert_eq!(delay.hold(start, 1, MINUTE), 1);
    // Shorter than its slots can be.
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(delay.hold(start + nanosecond, 0, nanosecond), 0);
}

proptest! {
    /// Against the plain list of all results: never less than the largest of the delay, and nothing older than the delay
    /// and a slot; in bounded memory.
    #[test]
    fn as_the_whole_list(
        results in prop::collection::vec((0_u64..40_000, 0..1000), 1..400),
        seconds in 1_u64..900,
    ) {
        let start = Instant::now();
        let length = Duration::from_secs(seconds);
        let slack = length / SLOTS + Duration::from_nanos(1);
        let (mut delay, mut all, mut now) = (Delay::default(), Vec::new(), start);
        for (milliseconds, result) in results {
            now += Duration::from_millis(milliseconds % (10 + seconds * 20));
            all.push((now, result));
            let held = delay.hold(now, result, length);
            let largest = |age: Duration| {
                let young = all.iter().filter(|(at, _)| now.duration_since(*at) < age);
                young.map(|(_, result)| *result).max().unwrap_or_default()
            };
            prop_assert!(held >= largest(length), "{held} < {}", largest(length));
            prop_assert!(held <= largest(length + slack), "{held} > {}", largest(length + slack));
            prop_assert!(delay.results.len() <= SLOTS as usize + 2);
        }
    }
}
