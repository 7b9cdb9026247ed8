//! Ten times the load in one step, and a queue at zero that must be served in order.

use std::time::Duration;

use ::kube::api::DeleteParams;
use anyhow::{Result, ensure};
use crds::Function;
use serde_json::json;

use super::{observed::Observed, report::Report, stage::Stage};
use crate::{
    load::{Load, Pace, Protocol, Shape, overtaken},
    scene::{PATIENCE, until},
};

const TARGET: usize = 10;
const UTILIZATION: usize = 70;
/// Two replicas' worth.
const BEFORE: usize = 14;
const AFTER: usize = BEFORE * 10;
const REQUEST_MS: u64 = 500;
/// Within which 90 % of the needed replicas must be ordered, in milliseconds.
const GOAL_MS: f64 = 200.0;
/// Requests sent closer together may change places before they reach the activator, and so may the activator's own
/// measures of two that it let go, in seconds.
const GAP: f64 = 0.02;

fn replicas(at_once: usize) -> usize {
    (at_once * 100).div_ceil(TARGET * UTILIZATION)
}

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;
    let (need, most) = (replicas(AFTER), (replicas(AFTER) * 9).div_ceil(10));
    let (mut first, mut ordered) = (Vec::new(), Vec::new());
    let rounds = stage.much(10, 2);
    for round in 0..rounds {
        let step = stage.steps.begin(format!("× 10, round {} of {rounds}", round + 1));
        let (raised, enough) = step_up(stage, &observed, &format!("burst-{round}"), most).await?;
        step.done(&format!("{most} of {need} replicas ordered after {enough:.0} ms"));
        first.push(raised);
        ordered.push(enough);
    }
    let worst = ordered.iter().copied().fold(0.0, f64::max);
    report.check(
        format!("{most} of {need} replicas ordered after the step, in each of {rounds} rounds"),
        format!("≤ {GOAL_MS} ms"),
        format!("at most {worst:.0} ms"),
        worst <= GOAL_MS,
    );
    report.figures("step to the first order of more", "ms", first);
    report.figures(format!("step to the order of {most}"), "ms", ordered);

    for round in 0..stage.much(3, 1) {
        in_order(stage, &format!("queue-{round}")).await?;
    }
    let held = stage.journal.samples(|sample| sample.load == "queue");
    let (late, queued) = overtaken(&held, GAP, |sample| sample.released);
    report.check(
        format!("held requests overtaken: one sent {0:.0} ms later let go {0:.0} ms earlier", GAP * 1e3),
        "0, of at least half of those sent",
        format!("{late} of {queued} held, {} sent", held.len()),
        late == 0 && queued * 2 >= held.len(),
    );
    for gap in [0.005, GAP, 0.05] {
        let what = format!("overtaken by {:.0} ms on the way into a pod", gap * 1e3);
        report.figure(what, "requests", overtaken(&held, gap, |sample| sample.arrived).0 as f64);
    }
    let warm = stage.journal.samples(|sample| sample.load == "step");
    let (late, queued) = overtaken(&warm, GAP, |sample| sample.released);
    report.figure("held in the warm step", "requests", queued as f64);
    report.figure("of these overtaken", "requests", late as f64);
    stage.no_failures(report);
    observed.tell(report);
    report.leave_out("time of an order: when the API server received the write, by its audit log");
    report.leave_out(
        "a release is when the request was sent plus what the activator's Server-Timing says that it held it",
    );
    report.leave_out(
        "the queue in front of a function at zero over HTTP/1.1: its connects would blur the order of arrival",
    );
    Ok(())
}

/// From the step to the first order of more replicas, and to the order of enough, in milliseconds.
async fn step_up(stage: &Stage, observed: &Observed, name: &str, enough: usize) -> Result<(f64, f64)> {
    let scaling = json!({"target": TARGET, "targetUtilizationPercent": UTILIZATION});
    stage.function(name, json!({"scaling": scaling})).await?;
    let revision = stage.revision(name).await?;
    let shapes = || vec![Shape::get(REQUEST_MS)];
    let before = stage.load("before", name, Pace::AtOnce(BEFORE), shapes()).start(&stage.journal).await?;
    let few = i32::try_from(replicas(BEFORE))?;
    stage.serving(name, replicas(BEFORE)).await?;
    tokio::time::sleep(Duration::from_secs(stage.much(10, 3))).await;
    let (least, most) = observed.between(name, stage.clock.now() - 1.0, stage.clock.now());
    ensure!(least >= few && most <= few + 1, "before the step there are {least} to {most} replicas, not {few}");

    let step = stage.load("step", name, Pace::AtOnce(AFTER - BEFORE), shapes()).start(&stage.journal).await?;
    let at = stage.clock.seconds(step.began());
    tokio::time::sleep(Duration::from_secs(stage.much(10, 5))).await;
    let raised = stage.ordered(&revision, i64::from(most) + 1, at)?;
    let enough = stage.ordered(&revision, i64::try_from(enough)?, at)?;
    step.end().await?;
    before.end().await?;
    gone(stage, name).await?;
    Ok(((raised - at) * 1e3, (enough - at) * 1e3))
}

/// A queue in front of a function at zero: one request each 2.5 ms, over connections that are open already, so that they
/// arrive in the order in which they are sent.
async fn in_order(stage: &Stage, name: &str) -> Result<()> {
    stage.function(name, json!({"scaling": {"target": TARGET, "maxReplicas": 5}})).await?;
    let load = stage.load("queue", name, Pace::PerSecond(400.0), vec![Shape::get(20)]);
    let load = Load { protocols: vec![Protocol::Http2], ..load }.start(&stage.journal).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.end().await?;
    gone(stage, name).await
}

/// Leaves the node to the next round.
async fn gone(stage: &Stage, name: &str) -> Result<()> {
    stage.scene.api::<Function>().delete(name, &DeleteParams::background()).await?;
    until("its pods are gone", PATIENCE * 3, async || {
        let left = stage.scene.pods_to_the_last(name).await?;
        Ok(left.is_empty().then_some(()))
    })
    .await
}
