use std::time::Duration;

use super::*;
use crate::load::Averages;

const S: Duration = Duration::from_secs(1);

/// A function in the hands of one activator that tells every second what it has.
struct World {
    start: Instant,
    now: Instant,
    settings: Settings,
    scaler: Scaler,
    ready: Option<i32>,
    replicas: i32,
    level: (u32, u32),
    quiet: Option<Duration>,
    unknown: usize,
    serving: bool,
    reached_initial: bool,
}

impl World {
    fn new(size: i32, settings: Settings) -> Self {
        let start = Instant::now() + LONG;
        Self {
            start,
            now: start,
            settings,
            scaler: Scaler::new(start, size, &settings),
            ready: Some(size),
            replicas: size,
            level: (0, 0),
            quiet: None,
            unknown: 0,
            serving: true,
            reached_initial: true,
        }
    }

    /// So many in flight and held, for so long, told every second; then a decision.
    fn run(&mut self, in_flight: u32, held: u32, seconds: u64) -> Sizing {
        self.level = (in_flight, held);
        for _ in 0..seconds {
            let from = self.now;
            self.now += S;
            let delta =
                Delta { in_flight_ms: u64::from(in_flight) * 1000, held_ms: u64::from(held) * 1000, requests: 0 };
            self.scaler.record(self.now, from, self.now, delta);
            self.decide();
        }
        self.decide()
    }

    fn decide(&mut self) -> Sizing {
        let known = usize::from(self.unknown == 0 || self.level != (0, 0));
        let said = [Said { at: self.now, in_flight: self.level.0, held: self.level.1 }];
        let observed = Observed {
            said: &said[..known],
            idle: Idle { quiet: self.quiet, known, unknown: self.unknown },
            ready: self.ready,
            replicas: self.replicas,
            serving: self.serving,
            reached_initial: self.reached_initial,
        };
        self.scaler.decide(self.now, &observed, &self.settings)
    }

    /// What was decided has happened.
    fn settle(&mut self, sizing: Sizing) {
        self.replicas = match sizing.verdict {
            Verdict::Raise(to) | Verdict::Lower(to) => to,
            Verdict::Zero => 0,
            Verdict::Keep | Verdict::Blocked(_) => self.replicas,
        };
        self.ready = Some(self.replicas);
    }
}

/// So that there is a time before the start.
const LONG: Duration = Duration::from_secs(7200);

#[test]
fn a_step_in_load_is_met_by_the_report_that_shows_it_and_then_kept() {
    let mut world = World::new(1, Settings::default());
    assert_eq!(world.run(10, 0, 60).verdict, Verdict::Keep);
    // 600 at once, 1 ms ago: no average has seen it. ceil(600 / 70) = 9.
    world.level = (100, 500);
    world.now += Duration::from_millis(1);
    let step = world.decide();
    assert_eq!((step.verdict, step.rule), (Verdict::Raise(9), Rule::Instant));
    assert!(step.inputs.averages.panic < 11.0);
    assert!(step.inputs.panicking);
    world.settle(step);
    // Served, gone within a second: nothing is lowered while the averages lag.
    let after = world.run(0, 0, 10);
    assert_eq!((after.verdict, after.rule), (Verdict::Keep, Rule::Panic));
    // A stable window after the raise, by half at each step.
    assert_eq!(world.run(1, 0, 51).verdict, Verdict::Lower(4));
}

#[test]
fn a_steady_load_keeps_its_number() {
    let mut world = World::new(0, Settings::default());
    // Six times the target at once.
    let woken = world.run(0, 600, 1);
    assert_eq!(woken.verdict, Verdict::Raise(9));
    world.settle(woken);
    for _ in 0..300 {
        assert_eq!(world.run(600, 0, 1).verdict, Verdict::Keep);
    }
    let inputs = world.run(600, 0, 1).inputs;
    assert_eq!((inputs.averages, inputs.panicking), (Averages { stable: 600.0, panic: 600.0 }, false));
}

#[test]
fn requests_a_second_are_sized_by_their_own_unit_and_woken_by_requests_at_once() {
    let settings = Settings { metric: Metric::RequestsPerSecond, ..Settings::default() };
    let mut world = World::new(1, settings);
    for _ in 0..60 {
        let from = world.now;
        world.now += S;
        world.scaler.record(world.now, from, world.now, Delta { requests: 1200, ..Delta::default() });
    }
    // ceil(1200 / (200 × 0.7)) = 9.
    let sized = world.decide();
    assert_eq!((sized.verdict, sized.rule), (Verdict::Raise(9), Rule::Stable));
    assert_eq!(sized.inputs.goal, 140.0);
    // 141 held: ceil(141 / (100 × 0.7)) = 3, not one per 140.
    let mut world = World::new(0, settings);
    world.level = (0, 141);
    assert_eq!(world.decide().verdict, Verdict::Raise(3));
    // A long stream and no new request: one stays, and a second one is not needed.
    let mut world = World::new(1, settings);
    assert_eq!(world.run(1, 0, 3600).verdict, Verdict::Keep);
}

#[test]
fn nothing_is_lowered_below_what_the_requests_in_flight_fill() {
    let mut world = World::new(10, Settings::default());
    world.run(10, 0, 120);
    // The averages ask for 1, the limit is 5; 730 in flight fill 8 of 10.
    world.level = (730, 0);
    let sizing = world.decide();
    assert_eq!((sizing.verdict, sizing.rule), (Verdict::Lower(8), Rule::Instant));
    world.level = (10, 0);
    assert_eq!(world.decide().verdict, Verdict::Lower(5));
}

#[test]
fn zero_comes_from_the_idle_clock_alone() {
    let mut world = World::new(3, Settings::default());
    let lowered = world.run(0, 0, 300);
    assert_eq!(lowered.verdict, Verdict::Lower(1));
    world.settle(lowered);
    world.quiet = Some(Duration::from_millis(59_999));
    assert_eq!(world.decide().verdict, Verdict::Keep);
    world.quiet = Some(60 * S);
    assert_eq!((world.decide().verdict, world.decide().rule), (Verdict::Zero, Rule::Idle));
    // A window of its own, longer and shorter than the stable one.
    world.settings.idle_window = Some(90 * S);
    assert_eq!(world.decide().verdict, Verdict::Keep);
    world.settings.idle_window = Some(6 * S);
    assert_eq!(world.decide().verdict, Verdict::Zero);
    // An idle clock that contradicts a count is not believed.
    world.level = (1, 0);
    assert_eq!(world.decide().verdict, Verdict::Keep);
    // In panic, too, and whatever the number.
    let mut world = World::new(8, Settings::default());
    world.quiet = Some(60 * S);
    let sizing = world.decide();
    assert_eq!((sizing.verdict, sizing.inputs.panicking), (Verdict::Zero, false));
    world.settings.min = 2;
    assert_eq!((world.decide().verdict, world.decide().rule), (Verdict::Lower(2), Rule::Min));
}

#[test]
fn at_zero_only_requests_and_min_start_anything() {
    let mut world = World::new(2, Settings { scale_down_delay: 600 * S, ..Settings::default() });
    world.run(50, 0, 60);
    // Somebody else brought it to zero: neither the averages, nor the panic, nor the delay undo it.
    (world.replicas, world.ready) = (0, Some(0));
    world.level = (0, 0);
    assert_eq!((world.decide().verdict, world.decide().rule), (Verdict::Keep, Rule::Idle));
    world.level = (0, 1);
    assert_eq!(world.decide().verdict, Verdict::Raise(1));
    world.level = (0, 0);
    world.settings.min = 2;
    assert_eq!((world.decide().verdict, world.decide().rule), (Verdict::Raise(2), Rule::Min));
}

#[test]
fn what_is_unknown_lowers_nothing_and_what_is_known_may_raise() {
    let mut world = World::new(8, Settings::default());
    world.run(10, 0, 120);
    world.unknown = 1;
    assert_eq!(world.decide().verdict, Verdict::Blocked(4));
    world.level = (0, 0);
    world.quiet = Some(600 * S);
    assert_eq!(world.decide().verdict, Verdict::Blocked(0));
    // Nor does it end a panic.
    let mut new = World::new(5, Settings::default());
    (new.quiet, new.unknown) = (Some(600 * S), 1);
    assert_eq!(new.decide().verdict, Verdict::Blocked(0));
    (new.quiet, new.unknown) = (None, 0);
    assert_eq!((new.decide().verdict, new.decide().rule), (Verdict::Keep, Rule::Panic));
    world.quiet = None;
    world.level = (0, 900);
    let raised = world.decide();
    assert_eq!((raised.verdict, raised.rule, raised.inputs.unknown), (Verdict::Raise(13), Rule::Instant, 1));
    world.unknown = 0;
    world.level = (10, 0);
    world.ready = None;
    let error = world.decide();
    assert_eq!((error.verdict, error.rule, error.replicas), (Verdict::Keep, Rule::Error, 8));
}

#[test]
fn max_wins_over_everything() {
    let mut world = World::new(1, Settings { max: 5, ..Settings::default() });
    world.level = (0, 10_000);
    assert_eq!((world.decide().verdict, world.decide().rule), (Verdict::Raise(5), Rule::Max));
    // Max wins over min, over the initial scale, and over what is in flight.
    world.settings.min = 9;
    world.settings.initial = 9;
    world.reached_initial = false;
    assert_eq!(world.decide().verdict, Verdict::Raise(5));
    world.settings.max = -1;
    assert_eq!(world.decide().verdict, Verdict::Zero);
}

#[test]
fn the_initial_scale_is_a_larger_min_until_it_was_reached() {
    let table = [
        // initial, min, max, reached → replicas and the rule.
        (3, 1, 100, false, 3, Rule::Initial),
        (3, 1, 100, true, 1, Rule::Min),
        (3, 3, 100, false, 3, Rule::Initial),
        (1, 3, 100, false, 3, Rule::Min),
        (9, 0, 5, false, 5, Rule::Max),
        (9, 0, 5, true, 0, Rule::Idle),
        (0, 0, 100, false, 0, Rule::Idle),
    ];
    for (initial, min, max, reached, replicas, rule) in table {
        let mut world = World::new(0, Settings { initial, min, max, ..Settings::default() });
        world.reached_initial = reached;
        let sizing = world.decide();
        assert_eq!((sizing.replicas, sizing.rule), (replicas, rule), "{initial} {min} {max} {reached}");
    }
}

#[test]
fn the_delay_holds_the_largest_result_and_zero_too() {
    let mut world = World::new(1, Settings { scale_down_delay: 300 * S, ..Settings::default() });
    let up = world.run(280, 0, 60);
    assert_eq!(up.replicas, 4);
    world.settle(up);
    // The panic ends after 60 s more, and the delay counts from its last 4; a slot is 4.7 s.
    let held = world.run(1, 0, 359);
    assert_eq!((held.verdict, held.rule), (Verdict::Keep, Rule::Delay));
    assert!(matches!(world.run(1, 0, 7).verdict, Verdict::Lower(2)));
    // Zero comes a delay after the idle window.
    let mut world = World::new(1, Settings { scale_down_delay: 300 * S, ..Settings::default() });
    world.run(1, 0, 10);
    let mut zero = None;
    for second in 1..=400 {
        world.quiet = Some(second * S);
        let sizing = world.run(0, 0, 1);
        if sizing.verdict == Verdict::Zero {
            zero = Some(second);
            break;
        }
    }
    assert!(zero.is_some_and(|second| (359..=364).contains(&second)), "{zero:?}");
    // A revision without traffic waits for nothing.
    let mut world = World::new(1, Settings { scale_down_delay: 300 * S, ..Settings::default() });
    world.run(1, 0, 10);
    world.serving = false;
    world.replicas = 7;
    assert_eq!(world.run(1, 0, 1).verdict, Verdict::Lower(1));
}

#[test]
fn a_new_leader_lowers_nothing_before_a_window_has_passed() {
    for (delay, lowered) in [(0, 61), (30, 91), (120, 181)] {
        let settings = Settings { scale_down_delay: delay * S, ..Settings::default() };
        let mut world = World::new(6, settings);
        while world.decide().verdict == Verdict::Keep {
            world.now += S;
        }
        assert!(matches!(world.decide().verdict, Verdict::Lower(_)));
        let seconds = world.now.duration_since(world.start).as_secs();
        // Its slots are 1/64 of the delay.
        let delay = u64::from(delay);
        assert!((60 + delay..=lowered + delay / 60).contains(&seconds), "{delay}: {seconds}");
    }
}

#[test]
fn a_thousand_idle_functions_allocate_nothing() {
    let mut world = World::new(0, Settings::default());
    for _ in 0..100 {
        assert_eq!(world.run(0, 0, 1).verdict, Verdict::Keep);
    }
    assert_eq!(world.scaler.allocated(), 0);
    assert!(size_of::<Scaler>() <= 200, "{}", size_of::<Scaler>());
    world.run(1, 0, 1);
    assert!((1..=3600).contains(&world.scaler.allocated()), "{}", world.scaler.allocated());
    // At zero there is nothing left at once; awake without traffic, after a window.
    world.run(0, 0, 1);
    assert_eq!(world.scaler.allocated(), 0);
    (world.replicas, world.ready) = (1, Some(1));
    world.run(1, 0, 1);
    world.run(0, 0, 59);
    assert!(world.scaler.allocated() > 0);
    world.run(0, 0, 1);
    assert_eq!(world.scaler.allocated(), 0);
}

#[test]
fn inputs_read_as_a_sentence() {
    let mut world = World::new(2, Settings::default());
    world.run(7, 0, 60);
    assert_eq!(
        world.decide().inputs.to_string(),
        "in flight 7, held 0, average 7.00 (stable) and 7.00 (panic), goal 70.00 at once per replica, 2 ready of 2, in panic",
    );
    world.ready = None;
    world.unknown = 1;
    let text = world.decide().inputs.to_string();
    assert!(text.contains("of 2 nobody knows how many are ready"), "{text}");
    assert!(text.ends_with("1 activator(s) not heard"), "{text}");
}
