//! Minimums by time of day, week or year.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A window of time that comes back, and how many replicas run in it without any load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// When the window begins, in five fields as of cron: minute, hour, day of the month, month, day of the week. Such as
    /// 0 8 * * MON-FRI. 9 to 100 characters.
    #[schemars(length(min = 9, max = 100))]
    pub cron: String,
    /// Time zone of cron: its IANA name, such as Europe/Berlin. Empty (the default) = UTC. At most 64 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub time_zone: String,
    /// Seconds for which the window lasts, each time. Range 60 (the resolution of cron) to 86400 (a day: what lasts longer
    /// is minReplicas).
    #[schemars(range(min = 60, max = 86400))]
    pub duration_seconds: i32,
    /// Replicas that run in the window even without load; of several windows the largest. Range 1 to 1000; maxReplicas
    /// bounds it.
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: i32,
}
