//! What holds for every history: the scaler is driven through random loads, sizes, gaps and settings.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use scale::{
    Averaging, Delta, Goal, Idle, IdleClock, Metric, Observed, Rule, Said, Scaler, Seen, Settings, Sizing, Verdict,
};

/// What happens in one step.
#[derive(Clone, Debug)]
struct Step {
    milliseconds: u64,
    in_flight: u32,
    held: u32,
    requests: u32,
    ready: i32,
    replicas: i32,
    heard: bool,
}

/// A function and its one activator.
struct World {
    scaler: Scaler,
    clock: IdleClock,
    now: Instant,
}

impl World {
    fn new(size: i32, settings: &Settings) -> Self {
        let now = Instant::now() + Duration::from_secs(10_000);
        Self { scaler: Scaler::new(now, size, settings), clock: IdleClock::default(), now }
    }

    /// The load of the step lasts for all of it, and is told at its end.
    fn step(&mut self, step: &Step, settings: &Settings) -> Sizing {
        let from = self.now;
        self.now += Duration::from_millis(step.milliseconds);
        let delta = Delta {
            in_flight_ms: u64::from(step.in_flight) * step.milliseconds,
            held_ms: u64::from(step.held) * step.milliseconds,
            requests: u64::from(step.requests),
        };
        self.scaler.record(self.now, from, self.now, delta);
        let busy = step.in_flight > 0 || step.held > 0;
        let seen = match (step.heard, busy) {
            (false, _) => Seen::Unknown,
            (true, true) => Seen::Busy,
            (true, false) => Seen::Quiet(from),
        };
        let said = [Said { at: self.now, in_flight: step.in_flight, held: step.held }];
        let observed = Observed {
            said: &said[..usize::from(step.heard)],
            idle: self.clock.observe(self.now, [seen]),
            ready: Some(step.ready),
            replicas: step.replicas,
            serving: true,
            reached_initial: true,
        };
        self.scaler.decide(self.now, &observed, settings)
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let count = || prop_oneof![Just(0_u32), 0_u32..20, 0_u32..2_000];
    let step = (1_u64..20_000, count(), count(), count(), 0..30, 0..30, prop::bool::weighted(0.9));
    let step = step.prop_map(|(milliseconds, in_flight, held, requests, ready, replicas, heard)| Step {
        milliseconds,
        in_flight,
        held,
        requests,
        ready,
        replicas,
        heard,
    });
    prop::collection::vec(step, 1..60)
}

fn settings() -> impl Strategy<Value = Settings> {
    let metric = prop_oneof![Just(Metric::Concurrency), Just(Metric::RequestsPerSecond)];
    let averaging = prop_oneof![Just(Averaging::Linear), Just(Averaging::Weighted)];
    let numbers = (1_u32..300, 1_u32..=100, 0_u32..50, 6_u64..120, 0_u64..90, 0..4, 0..4, 1..200);
    (metric, averaging, numbers).prop_map(|(metric, averaging, numbers)| {
        let (target, percent, hard_limit, window, delay, activation, min, max) = numbers;
        Settings {
            metric,
            averaging,
            target: Some(f64::from(target)),
            utilization_percent: f64::from(percent),
            hard_limit,
            stable_window: Duration::from_secs(window),
            scale_down_delay: Duration::from_secs(delay),
            activation,
            min,
            max,
            ..Settings::default()
        }
    })
}

/// As the instant rule's documentation says it.
fn at_once(settings: &Settings) -> Goal {
    match settings.metric {
        Metric::Concurrency => Goal::of(settings),
        Metric::RequestsPerSecond => {
            Goal::of_wake(settings.metric, settings.target, settings.hard_limit, settings.utilization_percent)
        }
    }
}

proptest! {
    #[test]
    fn within_min_and_max_and_never_below_what_is_in_flight(steps in steps(), settings in settings()) {
        let mut world = World::new(0, &settings);
        for step in steps {
            let sizing = world.step(&step, &settings);
            prop_assert!(sizing.replicas <= settings.max);
            prop_assert!(sizing.replicas >= settings.min.min(settings.max));
            if !step.heard {
                continue;
            }
            let goal = at_once(&settings);
            let (in_flight, all) = (f64::from(step.in_flight), f64::from(step.in_flight) + f64::from(step.held));
            prop_assert!(sizing.replicas >= goal.least(in_flight).min(settings.max), "{sizing:?}");
            if step.held > 0 || in_flight > f64::from(step.ready) * goal.total {
                prop_assert!(sizing.replicas >= goal.replicas(all).min(settings.max), "{sizing:?}");
            }
        }
    }

    #[test]
    fn the_verdict_says_what_the_number_means(steps in steps(), settings in settings()) {
        let mut world = World::new(0, &settings);
        for step in steps {
            let Sizing { verdict, replicas, .. } = world.step(&step, &settings);
            match verdict {
                Verdict::Keep => prop_assert_eq!(replicas, step.replicas),
                Verdict::Raise(to) => prop_assert!(to == replicas && to > step.replicas),
                // Nothing is lowered on missing knowledge.
                Verdict::Lower(to) => prop_assert!(step.heard && to == replicas && to < step.replicas && to > 0),
                Verdict::Zero => prop_assert!(step.heard && replicas == 0 && step.replicas > 0),
                Verdict::Blocked(to) => prop_assert!(!step.heard && to == replicas && to < step.replicas),
            }
            if verdict == Verdict::Zero && settings.max > 0 {
                prop_assert!(step.in_flight == 0 && step.held == 0 && settings.min == 0);
            }
        }
    }

    /// The same history with more load at every moment never gives fewer replicas.
    #[test]
    fn monotone_in_load(
        steps in steps(),
        more in prop::collection::vec((0_u32..200, 0_u32..200, 0_u32..200), 60),
        settings in settings(),
    ) {
        let (mut less, mut greater) = (World::new(0, &settings), World::new(0, &settings));
        greater.now = less.now;
        for (step, (in_flight, held, requests)) in steps.iter().zip(more) {
            let larger = Step {
                in_flight: step.in_flight + in_flight,
                held: step.held + held,
                requests: step.requests + requests,
                ..step.clone()
            };
            let (low, high) = (less.step(step, &settings), greater.step(&larger, &settings));
            prop_assert!(low.replicas <= high.replicas, "{low:?} {high:?}");
        }
    }

    /// While panic lasts, the number never falls. Here the idle clock never speaks, and there is no upper bound.
    #[test]
    fn the_ratchet_holds(steps in steps(), settings in settings(), size in 0..20) {
        let settings = Settings { max: i32::MAX, idle_window: Some(Duration::MAX), ..settings };
        let mut world = World::new(size, &settings);
        let mut since_it_began = 0;
        for step in steps {
            let sizing = world.step(&step, &settings);
            if !sizing.inputs.panicking {
                since_it_began = 0;
                continue;
            }
            prop_assert!(sizing.replicas >= since_it_began, "{sizing:?} {since_it_began}");
            // What the bounds, the delay and the floor added is not the algorithm's own.
            if matches!(sizing.rule, Rule::Stable | Rule::Panic | Rule::Activation) {
                since_it_began = sizing.replicas;
            }
        }
    }

    /// How often the host asks changes nothing about the averages of a function that is awake: they are of the load, not of
    /// the decisions.
    #[test]
    fn averages_do_not_depend_on_how_often_one_asks(steps in steps(), settings in settings(), pieces in 2_u64..5) {
        let settings = Settings { averaging: Averaging::Linear, ..settings };
        let (mut seldom, mut often) = (World::new(0, &settings), World::new(0, &settings));
        often.now = seldom.now;
        for step in steps {
            let (milliseconds, replicas) = (step.milliseconds * pieces, step.replicas.max(1));
            let step = Step { requests: 0, heard: true, milliseconds, replicas, ..step };
            let whole = seldom.step(&step, &settings).inputs.averages;
            let piece = Step { milliseconds: step.milliseconds / pieces, ..step.clone() };
            let last = (0..pieces).map(|_| often.step(&piece, &settings).inputs.averages).last().unwrap();
            prop_assert!((whole.stable - last.stable).abs() < 1e-3, "{whole:?} {last:?}");
            prop_assert!((whole.panic - last.panic).abs() < 1e-3, "{whole:?} {last:?}");
        }
    }
}

/// A known idle clock that counts nobody lowers nothing either.
#[test]
fn nobody_is_not_everybody() {
    let now = Instant::now();
    let settings = Settings::default();
    let observed = Observed {
        said: &[],
        idle: Idle { quiet: Some(Duration::from_secs(3600)), known: 0, unknown: 0 },
        ready: Some(1),
        replicas: 1,
        serving: true,
        reached_initial: true,
    };
    let sizing = Scaler::new(now, 1, &settings).decide(now, &observed, &settings);
    assert_eq!(sizing.verdict, Verdict::Blocked(0));
}
