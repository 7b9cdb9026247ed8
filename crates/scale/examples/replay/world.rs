//! One function under one policy, event by event, in milliseconds.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    time::{Duration, Instant},
};

use scale::Delta;

use crate::{
    function::{Arrival, MINUTE_MS},
    outcome::Outcome,
    policy::{Policy, View},
};

/// Between two decisions while nothing happens.
const TICK: u64 = 1000;
/// A policy is asked about requests that do not wait at most this often.
const REPORT: u64 = 100;

/// What every replica is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Replica {
    /// Milliseconds from asking for it until it is ready.
    pub(crate) cold_start: u64,
    /// Requests that it takes at once.
    pub(crate) target: u32,
}

struct World<'a> {
    policy: &'a mut dyn Policy,
    outcome: &'a mut Outcome,
    replica: Replica,
    /// Time 0.
    start: Instant,
    now: u64,
    ready: i32,
    /// When they will be ready, and how many; in order.
    starting: VecDeque<(u64, i32)>,
    /// When they came, and what they are.
    held: VecDeque<Arrival>,
    /// When requests end, and how many.
    running: BinaryHeap<Reverse<(u64, u32)>>,
    in_flight: u32,
    waiting: u32,
    last: u64,
    asked: u64,
    delta: Delta,
}

/// Adds what comes of one function's requests, until the end of the outcome's minutes.
pub(crate) fn run(arrivals: &[Arrival], policy: &mut dyn Policy, replica: Replica, outcome: &mut Outcome) {
    let end = MINUTE_MS * u64::try_from(outcome.minutes.len()).unwrap_or(u64::MAX / MINUTE_MS);
    let mut world = World {
        policy,
        outcome,
        replica,
        start: Instant::now(),
        now: 0,
        ready: 0,
        starting: VecDeque::new(),
        held: VecDeque::new(),
        running: BinaryHeap::new(),
        in_flight: 0,
        waiting: 0,
        last: 0,
        asked: 0,
        delta: Delta::default(),
    };
    let mut arrivals = arrivals.iter().peekable();
    loop {
        let next = arrivals.peek().map(|arrival| arrival.at);
        let next = world.next().into_iter().chain(next).min().unwrap_or(end).min(end);
        world.pass(next);
        if next == end {
            return;
        }
        world.finish();
        while let Some(arrival) = arrivals.next_if(|arrival| arrival.at <= next) {
            world.arrive(*arrival);
        }
        world.release();
        if world.waiting > 0 || world.now >= world.asked + REPORT {
            world.decide();
        }
    }
}

impl World<'_> {
    fn replicas(&self) -> i32 {
        self.ready + self.starting.iter().map(|(_, count)| count).sum::<i32>()
    }

    /// Replicas that so many requests fill.
    fn needed(&self, requests: u32) -> u64 {
        u64::from(requests.div_ceil(self.replica.target))
    }

    /// Requests that the ready replicas take at once.
    fn room(&self) -> u32 {
        self.replica.target.saturating_mul(u32::try_from(self.ready).unwrap_or(0))
    }

    /// When something happens by itself: a request ends, a replica is ready, or a second is over.
    fn next(&self) -> Option<u64> {
        let awake = self.replicas() > 0 || self.waiting > 0;
        let tick = awake.then_some(self.asked + TICK);
        let ends = self.running.peek().map(|Reverse((at, _))| *at);
        let ready = self.starting.front().map(|(at, _)| *at);
        tick.into_iter().chain(ends).chain(ready).min().map(|next| next.max(self.now))
    }

    /// Time goes on to then; nothing else changes.
    fn pass(&mut self, to: u64) {
        let passed = to - self.now;
        let replicas = u64::try_from(self.replicas()).unwrap_or(0);
        // A replica that starts is needed by those who wait for it.
        let needed = self.needed(self.in_flight + self.waiting);
        self.outcome.existed += replicas * passed;
        self.outcome.wasted += replicas.saturating_sub(needed) * passed;
        let mut from = self.now;
        while from < to {
            let minute = from / MINUTE_MS;
            let until = to.min((minute + 1) * MINUTE_MS);
            if let Some(sum) = usize::try_from(minute).ok().and_then(|minute| self.outcome.minutes.get_mut(minute)) {
                *sum += replicas * (until - from);
            }
            from = until;
        }
        self.delta.in_flight_ms += u64::from(self.in_flight) * passed;
        self.delta.held_ms += u64::from(self.waiting) * passed;
        self.now = to;
    }

    /// Requests that end and replicas that are ready now.
    fn finish(&mut self) {
        while let Some(Reverse((at, requests))) =
            self.running.peek().copied().filter(|Reverse((at, _))| *at <= self.now)
        {
            self.running.pop();
            self.in_flight -= requests;
            self.last = at;
        }
        while let Some((_, count)) = self.starting.pop_front_if(|(at, _)| *at <= self.now) {
            self.ready += count;
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        self.outcome.requests += u64::from(arrival.requests);
        self.delta.requests += u64::from(arrival.requests);
        self.last = self.now;
        if self.replicas() == 0 && self.waiting == 0 {
            self.outcome.wakes += 1;
        }
        self.waiting += arrival.requests;
        self.held.push_back(arrival);
    }

    /// With a replica ready, requests pass; while more are to come, only as many as the ready ones have room for, so that the
    /// first one up does not get the whole queue.
    fn release(&mut self) {
        while let Some(arrival) = self.held.front().copied() {
            let room = self.starting.is_empty() || self.in_flight < self.room();
            if self.ready == 0 || !room {
                return;
            }
            self.held.pop_front();
            self.waiting -= arrival.requests;
            self.in_flight += arrival.requests;
            self.running.push(Reverse((self.now + arrival.takes, arrival.requests)));
            if self.now > arrival.at {
                *self.outcome.held.entry(self.now - arrival.at).or_default() += u64::from(arrival.requests);
            }
        }
    }

    fn decide(&mut self) {
        let at = |milliseconds| self.start + Duration::from_millis(milliseconds);
        let replicas = self.replicas();
        let view = View {
            now: at(self.now),
            // Who sleeps still sends its heartbeat every second.
            before: at(self.asked.max(self.now.saturating_sub(TICK))),
            delta: std::mem::take(&mut self.delta),
            in_flight: self.in_flight,
            held: self.waiting,
            ready: self.ready,
            replicas,
            last: at(self.last),
        };
        self.asked = self.now;
        let wanted = self.policy.replicas(&view);
        if wanted > replicas {
            self.starting.push_back((self.now + self.replica.cold_start, wanted - replicas));
        } else if self.starting.is_empty() {
            // As this project does: nothing is lowered while a replica starts.
            self.ready = wanted.max(0);
        }
    }
}

#[cfg(test)]
mod tests;
