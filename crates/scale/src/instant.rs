//! The rule that waits for no window. Ours, beyond the published algorithm.

use crate::goal::Goal;

/// Replicas that the requests of this moment need at once: `ceil((in flight + held) / goal)` if any is held, or if more
/// are in flight than the ready replicas can have (ready × total). `None` if the ready ones will do.
///
/// It only ever raises. The goal is in requests at once.
pub fn need(in_flight: u64, held: u64, ready: i32, goal: &Goal) -> Option<i32> {
    let room = f64::from(ready.max(0)) * goal.total;
    (held > 0 || count(in_flight) > room).then(|| goal.replicas(count(in_flight.saturating_add(held))))
}

/// Fewest replicas with which the requests in flight do not themselves call for more: nothing is lowered below that,
/// however low the averages are.
pub fn floor(in_flight: u64, goal: &Goal) -> i32 {
    goal.least(count(in_flight))
}

/// Exact below 2⁵³ requests.
#[allow(clippy::cast_precision_loss)]
fn count(requests: u64) -> f64 {
    requests as f64
}

#[cfg(test)]
mod tests;
