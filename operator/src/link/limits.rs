//! What one activator, or somebody who claims to be one, may take. An honest activator never comes near.

use std::time::{Duration, Instant};

/// Connections at once, TLS handshakes included.
pub const CONNECTIONS: usize = 256;
/// Connections from one address at once.
pub const CONNECTIONS_PER_ADDRESS: usize = 16;
/// Streams of one connection at once: an activator needs one, and a second for a moment when it attaches again.
pub const STREAMS_PER_CONNECTION: u32 = 4;
/// Streams at once.
pub const STREAMS: usize = 256;
/// TokenReviews at once.
pub const REVIEWS: usize = 8;
/// Functions in one report, and functions known of one activator.
pub const FUNCTIONS: usize = 20_000;
/// Pods in one report, and pods known of one activator.
pub const PODS: usize = 100_000;
/// Bytes of a UID, a boot id or a name.
pub const NAME_BYTES: usize = 253;
/// Bytes of a bearer token.
pub const TOKEN_BYTES: usize = 16 << 10;
/// Bytes of a request's header fields.
pub const HEADER_BYTES: u32 = 32 << 10;

/// Longest time for a TLS handshake.
pub const HANDSHAKE: Duration = Duration::from_secs(5);
/// Longest time from a connection's start to a valid token.
pub const TRIAL: Duration = Duration::from_secs(10);
/// How long a refused caller waits for its answer: guesses cost time.
pub const REFUSAL: Duration = Duration::from_secs(1);
/// Longest time for a TokenReview.
pub const REVIEW: Duration = Duration::from_secs(5);
/// Longest time from a stream's start to its first report.
pub const HELLO: Duration = Duration::from_secs(5);
/// A stream without a report for this long is closed. Its activator counts as unknown long before.
pub const SILENCE: Duration = Duration::from_secs(10);

/// Reports that may come at once.
const BURST: u32 = 256;
/// Least time between reports after that: 500 a second.
const SPACING: Duration = Duration::from_millis(2);

/// Slows a stream down to the allowed rate. Nothing is lost: what is not read waits at the sender, whose next report
/// then tells more.
#[derive(Debug)]
pub struct Pace {
    /// When the allowance would be full again.
    full: Instant,
}

impl Pace {
    /// With the full allowance.
    pub fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// Counts one report, and gives how long to wait before the next may be read. Zero at an honest rate.
    pub fn next(&mut self, now: Instant) -> Duration {
        self.full = self.full.max(now) + SPACING;
        self.full.saturating_duration_since(now + SPACING * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_a_flood_is_slowed_to_500_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut now = start;
        for _ in 0..BURST {
            assert_eq!(pace.next(now), Duration::ZERO);
        }
        for _ in 0..1000 {
            now += pace.next(now);
        }
        assert_eq!(now - start, SPACING * 1000, "after the burst, one every 2 ms");
        now += Duration::from_secs(1);
        assert_eq!(pace.next(now), Duration::ZERO, "a pause fills the allowance again");
    }
}
