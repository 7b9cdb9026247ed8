//! How many replicas, how long a request may take and wait, and when a replica is ready.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How many replicas run, and when none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// Auto: as many as the load needs. Paused: none; requests get 503 at once. Default Auto.
    pub mode: Mode,
    /// Replicas that always run. Default 0. Range 0 to 1000, at most maxReplicas.
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Most replicas. Default 100. Range 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// Requests that one replica handles at once, as a goal, not a limit. Default 100. Range 1 to 10000.
    #[schemars(range(min = 1, max = 10000))]
    pub target: i32,
    /// Percent of the target at which another replica is wanted. Default 70. Range 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub target_utilization_percent: i32,
    /// Seconds without a request after which the last replica stops. Default 60. Range 6 to 3600.
    #[schemars(range(min = 6, max = 3600))]
    pub window_seconds: i32,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            min_replicas: 0,
            max_replicas: 100,
            target: 100,
            target_utilization_percent: 70,
            window_seconds: 60,
        }
    }
}

impl Scaling {
    /// Requests that one replica is meant to have at once: target × utilisation, at least 0.01.
    pub fn goal(&self) -> f64 {
        (f64::from(self.target) * f64::from(self.target_utilization_percent) / 100.0).max(0.01)
    }

    /// Replicas that `requests` at once need: at least 1 while there is any, never above `maxReplicas`.
    pub fn need(&self, requests: u32) -> i32 {
        if requests == 0 {
            return 0;
        }
        let most = self.max_replicas.max(1);
        // Compared as floats before the cast, so that it cannot overflow.
        let wanted = (f64::from(requests) / self.goal()).ceil().min(f64::from(most));
        #[allow(clippy::cast_possible_truncation)]
        let wanted = wanted as i32;
        wanted.max(1)
    }
}

/// Who decides on the number of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Rouse, from the load.
    #[default]
    Auto,
    /// Nobody: there are none, and requests are refused.
    Paused,
}

/// How long a request may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Seconds from a request being sent to a pod to the end of the response body. Default 30. Range 1 to 86400.
    #[schemars(range(min = 1, max = 86400))]
    pub request_seconds: i32,
    /// Seconds from a request's arrival to its being sent to a pod. Default 60. Range 1 to 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub cold_start_seconds: i32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request_seconds: 30, cold_start_seconds: 60 }
    }
}

/// How many requests may wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Requests that may wait in one activator; the next one gets 503 with Retry-After. Default 1000. Range 1 to 100000.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_requests: i32,
}

impl Default for Queue {
    fn default() -> Self {
        Self { max_requests: 1000 }
    }
}

/// When a new replica counts as ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Readiness {
    /// Path that is fetched until it answers 200 to 399. Empty (the default) = a TCP connection is enough. At most 1024 characters.
    #[schemars(length(max = 1024))]
    pub path: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn need_is_the_held_requests_over_the_goal() {
        let of = |target, percent, max| Scaling {
            target,
            target_utilization_percent: percent,
            max_replicas: max,
            ..Scaling::default()
        };
        let table = [
            (of(10, 100, 100), 50, 5),
            (of(10, 100, 3), 50, 3),
            (of(100, 70, 100), 1, 1),
            (of(100, 70, 100), 71, 2),
            (of(1, 70, 100), 10, 15),
            (of(1, 1, 100), u32::MAX, 100),
            (of(10, 100, 100), 0, 0),
        ];
        for (scaling, requests, need) in table {
            assert_eq!(scaling.need(requests), need, "{requests} requests at {scaling:?}");
        }
    }
}
