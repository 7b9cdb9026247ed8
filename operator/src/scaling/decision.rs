//! What should become of a Function's serving revision. Pure.

use std::{
    cmp::Ordering,
    time::{Duration, Instant},
};

use scale::{
    Adaptive, Delta, Idle, Observed, Said, Scaler, Settings, Sizing, Verdict,
    settings::{LONGEST_WINDOW, SHORTEST_WINDOW},
};

use super::{
    drain::Why,
    view::{Revision, View},
};
use crate::link::news::Loaded;

/// What is to be done about the serving revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Keep,
    /// Raise it to so many.
    Raise(i32),
    /// Bring it down to so many, at least one.
    Lower(i32),
    /// Bring it to zero.
    Zero(Why),
    /// It would come down, but not every activator is heard: keep it, and say so.
    Blocked,
}

/// Why the size of a serving revision changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Because {
    /// Its load asks for it.
    Load(Sizing),
    /// The spec says how many there are.
    Spec {
        /// Replicas until then.
        from: i32,
    },
}

/// What the activators say of a Function's requests.
#[derive(Clone, Debug)]
pub struct Load {
    /// The last word of each activator that is heard.
    pub said: Vec<Said>,
    /// What the idle clock makes of it.
    pub idle: Idle,
    /// Pods of the serving revision that an activator has probed ready.
    pub ready: i32,
}

/// Decides, and remembers what the load was.
#[derive(Debug, Default)]
pub struct Judge {
    scaler: Option<Scaler>,
    /// Of a Function that wants its idle window learnt.
    adaptive: Option<Box<Adaptive>>,
    sizing: Option<Sizing>,
}

impl Judge {
    /// What the last decision was made from; `None` where nothing about the load was asked.
    pub fn sizing(&self) -> Option<&Sizing> {
        self.sizing.as_ref()
    }

    /// Takes in what the activators' totals grew by.
    pub fn record(&mut self, loads: &[Loaded], now: Instant) {
        let Some(scaler) = &mut self.scaler else { return };
        for Loaded { from, to, added } in loads {
            let delta = Delta {
                in_flight_ms: added.in_flight_request_ms,
                held_ms: added.held_request_ms,
                requests: added.requests,
            };
            scaler.record(now, *from, *to, delta);
        }
    }

    /// What the Function says of its size, with the idle window that was learnt if it wants that.
    fn settings(&mut self, view: &View, idle: &Idle, now: Instant) -> Settings {
        if !view.adaptive {
            self.adaptive = None;
            return view.settings;
        }
        let adaptive = self.adaptive.get_or_insert_default();
        adaptive.observe(now, idle);
        Settings { idle_window: Some(learnt(adaptive, &view.settings)), ..view.settings }
    }

    /// Decides about the serving revision of `view`.
    ///
    /// A failed start goes to zero whatever is known, because no request can be in one of its pods; where the number is
    /// fixed the load says nothing. Everything else that lowers needs the whole picture: what is not known is never taken
    /// for a zero.
    pub fn decide(&mut self, view: &View, serving: &Revision, load: &Load, now: Instant) -> Decision {
        self.sizing = None;
        if view.fixed.is_some() {
            // It remembers nothing of that time: it begins at the number that it finds, as a new leader does.
            (self.scaler, self.adaptive) = (None, None);
        }
        if serving.failed {
            return if serving.replicas > 0 { Decision::Zero(Why::Failed) } else { Decision::Keep };
        }
        if let Some(fixed) = view.fixed {
            return match fixed.cmp(&serving.replicas) {
                Ordering::Greater => Decision::Raise(fixed),
                Ordering::Equal => Decision::Keep,
                Ordering::Less if !load.idle.complete() => Decision::Blocked,
                Ordering::Less if fixed > 0 => Decision::Lower(fixed),
                Ordering::Less => Decision::Zero(Why::Stopped),
            };
        }
        let settings = self.settings(view, &load.idle, now);
        let scaler = self.scaler.get_or_insert_with(|| Scaler::new(now, load.ready.max(serving.replicas), &settings));
        let observed = Observed {
            said: &load.said,
            idle: load.idle,
            ready: Some(load.ready),
            replicas: serving.replicas,
            serving: true,
            reached_initial: true,
        };
        let sizing = scaler.decide(now, &observed, &settings);
        self.sizing = Some(sizing);
        match sizing.verdict {
            Verdict::Keep => Decision::Keep,
            Verdict::Raise(to) => raise(to, view, serving, load),
            Verdict::Lower(to) => Decision::Lower(to),
            Verdict::Zero => Decision::Zero(Why::Idle),
            Verdict::Blocked(_) => Decision::Blocked,
        }
    }
}

/// The idle window that was learnt, taken to the bounds of `windowSeconds`.
fn learnt(adaptive: &Adaptive, settings: &Settings) -> Duration {
    adaptive.window(settings.windows().stable).clamp(SHORTEST_WINDOW, LONGEST_WINDOW)
}

/// While no pod is ready, every request is held, and an activator that holds requests has already asked for as many
/// replicas as they need: where there is only one, it knows all there is to know. Several each know their own only.
///
/// At zero it is those who wait that call for a pod. Who is in flight, or was at the last report, is at a pod that goes:
/// somebody else has lowered the revision, and that is not undone for them.
fn raise(to: i32, view: &View, serving: &Revision, load: &Load) -> Decision {
    let alone = load.idle.known + load.idle.unknown <= 1;
    let waits = load.said.iter().any(|said| said.held > 0);
    let asked = (load.ready > 0 || !alone) && (serving.replicas > 0 || waits);
    let to = if asked { to } else { to.min(view.floor()) };
    if to > serving.replicas { Decision::Raise(to) } else { Decision::Keep }
}

#[cfg(test)]
mod tests;
