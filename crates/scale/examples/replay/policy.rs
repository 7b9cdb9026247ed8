//! Who decides how many replicas there are.

use std::time::{Duration, Instant};

use scale::{Adaptive, Delta, Goal, IdleClock, Observed, Said, Scaler, Seen, Settings, delay::Delay};

/// What a policy sees of a function.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View {
    pub(crate) now: Instant,
    /// When it was asked last, at most a second ago.
    pub(crate) before: Instant,
    /// Since it was asked last: requests in flight and held over time, in request-milliseconds, and arrivals.
    pub(crate) delta: Delta,
    pub(crate) in_flight: u32,
    pub(crate) held: u32,
    pub(crate) ready: i32,
    /// With those that start.
    pub(crate) replicas: i32,
    /// When the last request came or ended.
    pub(crate) last: Instant,
}

/// Decides how many replicas there are.
pub(crate) trait Policy {
    /// How many there should be now. Asked at a request, at most every 100 ms unless one is held, and every second while
    /// there is a replica.
    fn replicas(&mut self, view: &View) -> i32;
}

/// This project's own.
pub(crate) struct Rouse {
    settings: Settings,
    scaler: Option<Scaler>,
    clock: IdleClock,
    adaptive: Option<Adaptive>,
}

impl Rouse {
    pub(crate) fn new(settings: Settings, adaptive: bool) -> Self {
        let adaptive = adaptive.then(Adaptive::default);
        Self { settings, scaler: None, clock: IdleClock::default(), adaptive }
    }
}

impl Policy for Rouse {
    fn replicas(&mut self, view: &View) -> i32 {
        let now = view.now;
        let busy = view.in_flight > 0 || view.held > 0;
        let idle = self.clock.observe(now, [if busy { Seen::Busy } else { Seen::Quiet(view.last) }]);
        if let Some(adaptive) = &mut self.adaptive {
            adaptive.observe(now, &idle);
            self.settings.idle_window = adaptive.learnt();
        }
        let scaler = self.scaler.get_or_insert_with(|| Scaler::new(now, 0, &self.settings));
        scaler.record(now, view.before, now, view.delta);
        let observed = Observed {
            said: &[Said { at: now, in_flight: view.in_flight, held: view.held }],
            idle,
            ready: Some(view.ready),
            replicas: view.replicas,
            serving: true,
            reached_initial: true,
        };
        scaler.decide(now, &observed, &self.settings).replicas
    }
}

/// Replicas as needed, each kept for a fixed time after it was needed last: what the platforms do that keep warm instances.
pub(crate) struct KeepAlive {
    goal: Goal,
    max: i32,
    keep: Duration,
    needed: Delay,
}

impl KeepAlive {
    pub(crate) fn new(settings: &Settings, minutes: u64) -> Self {
        let keep = Duration::from_secs(minutes * 60);
        Self { goal: Goal::of(settings), max: settings.max, keep, needed: Delay::default() }
    }
}

impl Policy for KeepAlive {
    fn replicas(&mut self, view: &View) -> i32 {
        let needed = self.goal.least(f64::from(view.in_flight) + f64::from(view.held)).min(self.max);
        self.needed.hold(view.now, needed, self.keep)
    }
}
