//! How long a watch that failed waits before it tries again.

use std::time::Duration;

use kube::runtime::utils::Backoff;
use rand::Rng as _;

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(10);

/// 50 ms, doubled each time up to 10 s, with up to as much again at random, so that activators do not come back together.
#[derive(Debug)]
pub(crate) struct Doubling(Duration);

impl Default for Doubling {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Iterator for Doubling {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        Some(wait.mul_f64(rand::rng().random_range(1.0..2.0)))
    }
}

impl Backoff for Doubling {
    fn reset(&mut self) {
        self.0 = SHORTEST;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_to_a_limit_and_begins_anew() {
        let mut backoff = Doubling::default();
        for floor in [50, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let wait = backoff.next().unwrap().as_millis();
            assert!((floor..2 * floor).contains(&wait), "{wait} of {floor}");
        }
        backoff.reset();
        assert!(backoff.next().unwrap() < Duration::from_millis(100));
    }
}
