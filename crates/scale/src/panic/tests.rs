use super::*;

const WINDOW: Duration = Duration::from_secs(60);

#[test]
fn it_ends_strictly_after_a_window_and_forgets_its_number() {
    let start = Instant::now();
    let mut panic = Panic::default();
    panic.observe(start, false, WINDOW);
    assert_eq!((panic.is_on(), panic.hold(9), panic.hold(3)), (false, 9, 3));
    panic.observe(start, true, WINDOW);
    // What was decided before it began is no part of it.
    assert_eq!((panic.is_on(), panic.hold(4), panic.hold(3), panic.hold(5)), (true, 4, 4, 5));
    panic.observe(start + WINDOW, false, WINDOW);
    assert!(panic.is_on());
    panic.observe(start + WINDOW + Duration::from_nanos(1), false, WINDOW);
    assert_eq!(panic, Panic::default());
    assert_eq!(panic.hold(2), 2);
}

#[test]
fn a_shorter_window_ends_a_panic_that_is_older() {
    let start = Instant::now();
    let mut panic = Panic::new(start, 3);
    panic.observe(start + WINDOW / 2, false, WINDOW);
    assert!(panic.is_on());
    panic.observe(start + WINDOW / 2, false, WINDOW / 6);
    assert!(!panic.is_on());
}
