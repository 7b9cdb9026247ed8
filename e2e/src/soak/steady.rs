//! Steady load: as many replicas as the formula says, and no more movement than one up or down.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use super::{observed::Observed, report::Report, stage::Stage};
use crate::load::{Pace, Shape};

/// How load is counted, and the load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metric {
    name: Option<&'static str>,
    target: i32,
    pace: Pace,
}

/// 60 at once is 6 × the target of 10.
pub(super) const CONCURRENCY: Metric = Metric { name: None, target: 10, pace: Pace::AtOnce(60) };
/// 120 a second is 6 × the target of 20.
pub(super) const PER_SECOND: Metric =
    Metric { name: Some("RequestsPerSecond"), target: 20, pace: Pace::PerSecond(120.0) };

const UTILIZATION: i32 = 70;
const REQUEST_MS: u64 = 500;
/// From then on the replicas must be right.
const SETTLING: f64 = 10.0;

pub(super) async fn run(stage: &Stage, report: &mut Report, metric: Metric) -> Result<()> {
    let mut scaling = json!({"target": metric.target, "targetUtilizationPercent": UTILIZATION});
    if let Some(name) = metric.name {
        scaling["metric"] = json!(name);
    }
    stage.function("steady", json!({"scaling": scaling})).await?;
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;

    let duration = Duration::from_secs(stage.much(90, 25));
    let step = stage.long("steady load", duration.as_secs());
    let load = stage.load("steady", "steady", metric.pace, vec![Shape::get(REQUEST_MS), Shape::post(REQUEST_MS)]);
    let running = load.start(&stage.journal).await?;
    let began = stage.clock.seconds(running.began());
    stage.watch(&step, duration).await;
    let ended = stage.clock.now();
    running.end().await?;
    step.done("");

    let want = wanted(metric);
    let (least, most) = observed.between("steady", began + SETTLING, ended);
    report.check(
        "replicas after the first 10 s",
        format!("{} to {}", want - 1, want + 1),
        format!("{least} to {most}"),
        least >= want - 1 && most <= want + 1,
    );
    report.figure("replicas by the formula", "replicas", want.into());
    stage.no_failures(report);
    observed.tell(report);
    report.leave_out("the first 10 s, from zero, do not count for the replicas; they count for the requests");
    Ok(())
}

/// `ceil(value / (target × utilisation))`
fn wanted(metric: Metric) -> i32 {
    let value = match metric.pace {
        Pace::AtOnce(requests) | Pace::Once(requests) => requests as f64,
        Pace::PerSecond(rate) => rate,
    };
    // A handful of replicas fits.
    #[allow(clippy::cast_possible_truncation)]
    let replicas = (value / (f64::from(metric.target) * f64::from(UTILIZATION) / 100.0)).ceil() as i32;
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_loads_need_nine() {
        assert_eq!((wanted(CONCURRENCY), wanted(PER_SECOND)), (9, 9));
    }
}
