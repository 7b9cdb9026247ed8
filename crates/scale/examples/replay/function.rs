//! The load of one function.

use rand::{Rng, rngs::StdRng};

use crate::durations::Durations;

/// A minute with more requests is replayed as so many groups.
pub(crate) const GROUPS: u32 = 300;
pub(crate) const MINUTE_MS: u64 = 60_000;

/// Requests that come at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// Milliseconds since the trace began.
    pub(crate) at: u64,
    /// How many.
    pub(crate) requests: u32,
    /// Milliseconds that each of them takes, at least one.
    pub(crate) takes: u64,
}

/// When a function was called.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Calls {
    /// Requests of each minute.
    PerMinute(Vec<u32>),
    /// Each request: start and length in milliseconds.
    Exact(Vec<(u64, u64)>),
}

/// The load of one function.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Function {
    /// What the trace calls it.
    pub(crate) name: [String; 3],
    pub(crate) calls: Calls,
    /// How long its requests take, if anything says it.
    pub(crate) durations: Option<Durations>,
}

impl Function {
    /// Minutes in which it may be called.
    pub(crate) fn minutes(&self) -> usize {
        match &self.calls {
            Calls::PerMinute(counts) => counts.len(),
            Calls::Exact(calls) => {
                let last = calls.iter().map(|(start, _)| *start).max().unwrap_or(0);
                usize::try_from(last / MINUTE_MS + 1).unwrap_or(usize::MAX)
            }
        }
    }

    /// Its requests of the first so many minutes, in order.
    pub(crate) fn arrivals(&self, otherwise_ms: u64, minutes: usize, random: &mut StdRng) -> Vec<Arrival> {
        let mut arrivals = match &self.calls {
            Calls::Exact(calls) => {
                let end = MINUTE_MS.saturating_mul(u64::try_from(minutes).unwrap_or(u64::MAX));
                let inside = calls.iter().filter(|(start, _)| *start < end);
                inside.map(|(start, takes)| Arrival { at: *start, requests: 1, takes: (*takes).max(1) }).collect()
            }
            Calls::PerMinute(counts) => self.drawn(&counts[..minutes.min(counts.len())], otherwise_ms, random),
        };
        arrivals.sort_by_key(|arrival| arrival.at);
        arrivals
    }

    fn drawn(&self, counts: &[u32], otherwise_ms: u64, random: &mut StdRng) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        for (minute, count) in (0_u64..).zip(counts) {
            let groups = (*count).min(GROUPS);
            for group in 0..groups {
                let at = if *count <= GROUPS {
                    random.random_range(0..MINUTE_MS)
                } else {
                    u64::from(group) * MINUTE_MS / u64::from(groups)
                };
                let takes = self.durations.as_ref().map_or(otherwise_ms, |durations| durations.at(random.random()));
                // The groups differ by at most one request, and together they are all of them.
                let requests = count / groups + u32::from(group < count % groups);
                arrivals.push(Arrival { at: minute * MINUTE_MS + at, requests, takes: takes.max(1) });
            }
        }
        arrivals
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_request_comes_once_in_its_minute() {
        let counts = vec![0, 1, GROUPS, GROUPS + 1, 100_007, 3];
        let calls = Calls::PerMinute(counts.clone());
        let function = Function { name: Default::default(), calls, durations: None };
        let arrivals = function.arrivals(7, 5, &mut StdRng::seed_from_u64(1));
        assert!(arrivals.is_sorted_by_key(|arrival| arrival.at));
        assert!(arrivals.iter().all(|arrival| arrival.takes == 7));
        for (minute, count) in (0_u64..5).zip(counts) {
            let of = arrivals.iter().filter(|arrival| arrival.at / MINUTE_MS == minute);
            assert_eq!(of.map(|arrival| arrival.requests).sum::<u32>(), count);
        }
        assert!(arrivals.iter().all(|arrival| arrival.at < 5 * MINUTE_MS));
    }
}
