//! How many replicas, how long a request may take and wait, and when a replica is ready.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Schedule;

/// How many replicas run, and when none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Scaling {
    /// Auto: as many as the load needs. Manual: as many as replicas says, which `kubectl scale` or an HPA writes. Paused:
    /// none; requests get 503 at once. Default Auto.
    pub mode: Mode,
    /// Replicas in mode Manual, and read in that mode only; at 0 requests get 503 at once. It is what the scale
    /// subresource writes. Default 0. Range 0 to 1000; minReplicas and maxReplicas do not bound it.
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: i32,
    /// Replicas that always run in mode Auto. Default 0. Range 0 to 1000, at most maxReplicas.
    #[schemars(range(min = 0, max = 1000))]
    pub min_replicas: i32,
    /// Most replicas in mode Auto. Default 100. Range 1 to 1000.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: i32,
    /// What the load is measured in: Concurrency (requests at once) or RequestsPerSecond. Default Concurrency.
    pub metric: Metric,
    /// Load that one replica handles, as a goal, not a limit: requests at once, or a second. Default 100, with
    /// RequestsPerSecond 200. Range 1 to 10000.
    #[schemars(range(min = 1, max = 10000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<i32>,
    /// Percent of the target at which another replica is wanted. Default 70. Range 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub target_utilization_percent: i32,
    /// Seconds over which the load is averaged, and without a request after which the last replica stops (but see idle).
    /// Default 60. Range 6 to 3600.
    #[schemars(range(min = 6, max = 3600))]
    pub window_seconds: i32,
    /// How long nobody must have called before the last replica stops. Fixed: windowSeconds. Adaptive: as learnt from this
    /// function's own pauses, 132 to 3600 seconds, and windowSeconds until enough of them are known. Default Fixed.
    pub idle: Idle,
    /// Seconds for which fewer replicas must have been enough before any stops. Default 0. Range 0 to 3600.
    #[schemars(range(min = 0, max = 3600))]
    pub scale_down_delay_seconds: i32,
    /// Windows of time in which more than minReplicas run without any load, in mode Auto. At most 16 items; empty (the
    /// default) = none.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<Schedule>,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            replicas: 0,
            min_replicas: 0,
            max_replicas: 100,
            metric: Metric::Concurrency,
            target: None,
            target_utilization_percent: 70,
            window_seconds: 60,
            idle: Idle::Fixed,
            scale_down_delay_seconds: 0,
            schedules: Vec::new(),
        }
    }
}

impl Scaling {
    /// Replicas that there are to be whatever the load is; `None`: the load decides.
    pub fn fixed(&self) -> Option<i32> {
        match self.mode {
            Mode::Auto => None,
            Mode::Manual => Some(self.replicas.max(0)),
            Mode::Paused => Some(0),
        }
    }

    /// Replicas beyond which no more are to come.
    pub fn most(&self) -> i32 {
        self.fixed().unwrap_or(self.max_replicas)
    }
}

/// Who decides on the number of replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Rouse, from the load.
    #[default]
    Auto,
    /// The user, by `replicas`: by hand, or by another autoscaler.
    Manual,
    /// Nobody: there are none, and requests are refused.
    Paused,
}

/// What decides how long the last replica waits for another request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Idle {
    /// `windowSeconds`.
    #[default]
    Fixed,
    /// How long the function was idle so far, each time.
    Adaptive,
}

/// What the load of a function is measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Metric {
    /// Requests at once, in flight or held.
    #[default]
    Concurrency,
    /// Requests that arrive in a second.
    RequestsPerSecond,
}

/// How long a request may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timeouts {
    /// Seconds from a request being sent to a pod to the end of the response body. Default 30. Range 1 to 86400.
    #[schemars(range(min = 1, max = 86400))]
    pub request_seconds: i32,
    /// Seconds from a request being sent to a pod to the head of the response, within requestSeconds. Default 0 = no limit of its own. Range 0 to 86400.
    #[schemars(range(min = 0, max = 86400))]
    pub first_byte_seconds: i32,
    /// Seconds from a request's arrival to its being sent to a pod. Default 60. Range 1 to 3600.
    #[schemars(range(min = 1, max = 3600))]
    pub cold_start_seconds: i32,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { request_seconds: 30, first_byte_seconds: 0, cold_start_seconds: 60 }
    }
}

/// How many requests may wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Queue {
    /// Requests that may wait in one activator; the next one gets 503 with Retry-After. It bounds what is held for a pod, and also what waits at busy pods for a response beyond the goal of maxReplicas. Default 1000. Range 1 to 100000.
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
    fn only_in_auto_the_load_decides() {
        let of = |mode| Scaling { mode, replicas: 3, max_replicas: 2, min_replicas: 1, ..Scaling::default() };
        for (mode, fixed, most) in [(Mode::Auto, None, 2), (Mode::Manual, Some(3), 3), (Mode::Paused, Some(0), 0)] {
            assert_eq!((of(mode).fixed(), of(mode).most()), (fixed, most), "{mode:?}");
        }
    }
}
