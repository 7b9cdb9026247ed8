//! Nothing is lost while replicas go and images change.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result};
use crds::{Function, names};
use http::Method;
use serde_json::json;

use super::{
    observed::Observed,
    report::Report,
    stage::Stage,
    terms::Order,
    undrained::{Deletion, undrained},
};
use crate::{
    audit,
    load::{Pace, Running, Shape},
    logs::Logs,
    scene::{APP, APP_2, PATIENCE, until},
};

const RATE: f64 = 300.0;
const STREAMS: usize = 10;
const STREAM_SECONDS: usize = 30;
/// With these, 300 requests a second are 60 at once, and 6.
const LONG_MS: u64 = 200;
const SHORT_MS: u64 = 20;
const HIGH: Duration = Duration::from_secs(10);
/// Long enough for streams on the pods that go to end.
const LOW: Duration = Duration::from_secs(40);
/// Longest request of the busy function, in seconds.
const REQUEST: i64 = 60;
/// When a drain is given up, in seconds: the longer of the longest request and the grace period, which is longer by the time
/// before the stop.
const DRAIN: i64 = REQUEST + names::PRE_STOP_SECONDS;
/// Idle window of both functions, in seconds.
const WINDOW: i32 = 6;
/// More than 60 at once need, and no more than a small node can start: while it is busy with starts every request takes
/// longer, at a fixed rate more of them are there at once, and so more replicas would be wanted.
const MOST: i32 = 12;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let scaling = json!({"target": 10, "targetUtilizationPercent": 70, "windowSeconds": WINDOW, "maxReplicas": MOST});
    let timeouts = json!({"requestSeconds": REQUEST});
    stage.function("busy", json!({"scaling": scaling, "timeouts": timeouts})).await?;
    stage.function("napping", json!({"scaling": scaling})).await?;
    let logs = [Logs::follow(&stage.scene, "busy"), Logs::follow(&stage.scene, "napping")];
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;

    let streams = stage.load("streams", "busy", Pace::AtOnce(STREAMS), vec![Shape::stream(STREAM_SECONDS)]);
    let streams = streams.start(&stage.journal).await?;
    // At a fixed rate all that comes during the start would be there at once: a burst, which another scenario has.
    until("the first replica serves", PATIENCE, async || {
        let pods = stage.scene.pods("busy").await?;
        Ok(pods.iter().any(crate::rouse::ready).then_some(()))
    })
    .await?;
    let flow = stage.load("flow", "busy", Pace::PerSecond(RATE), shapes(SHORT_MS)).start(&stage.journal).await?;
    let cycles = stage.much(10, 1);
    // The naps end by the clock, a little before the rest.
    let napping = ((HIGH + LOW) * cycles).saturating_sub(Duration::from_secs(5));
    let (changed, ()) = tokio::try_join!(changes(stage, &flow, cycles), naps(stage, napping))?;
    flow.end().await?;
    let step = stage.steps.begin("the last streams");
    streams.end().await?;
    step.done("");

    let posts = stage.journal.samples(|sample| sample.method == Method::POST);
    let sent: BTreeSet<String> = posts.into_iter().map(|sample| sample.id).collect();
    arrived_once(&logs, &sent, report).await;
    let all = stage.journal.counted(|_| true);
    let enough = stage.much(60_000, 6_000);
    report.check("requests", format!("≥ {enough}"), all.requests, all.requests >= enough);
    let share = sent.len() as f64 / all.requests.max(1) as f64 * 100.0;
    report.check("POSTs with an id of their own", "half", format!("{share:.1} %"), (45.0..=55.0).contains(&share));
    let wanted = stage.much(10, 1);
    report.check("new images that took the traffic", wanted, changed.len(), changed.len() >= wanted);
    report.figures("change of the image to its revision taking the traffic", "s", changed);
    stage.no_failures(report);
    scale_downs(stage, report)?;
    observed.tell(report);
    report.leave_out("streams in the medians: they take 30 s by themselves");
    report.leave_out(
        "the first lowering of a revision that was created with replicas: only writes of /scale are compared",
    );
    Ok(())
}

fn shapes(millis: u64) -> Vec<Shape> {
    vec![Shape::get(millis), Shape::post(millis)]
}

/// The load up and down, and a new image in each cycle: now while replicas come, now while they go. Gives how long each took to
/// take the traffic, in seconds.
async fn changes(stage: &Stage, flow: &Running, cycles: u32) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    let about = (HIGH + LOW).as_secs() * u64::from(cycles);
    let step = stage.long(format!("{cycles} cycles of load and {cycles} new images"), about);
    step.of(cycles.into());
    for cycle in 0..cycles {
        let even = cycle % 2 == 0;
        let image = if even { APP_2 } else { APP };
        let before = stage.revision("busy").await?;
        flow.change(shapes(LONG_MS));
        stage.watch(&step, if even { HIGH } else { HIGH / 2 }).await;
        if even {
            flow.change(shapes(SHORT_MS));
            // The average falls over the window, and drains begin.
            stage.watch(&step, Duration::from_secs(WINDOW.unsigned_abs().into())).await;
        }
        let began = stage.clock.now();
        stage.scene.change_function("busy", json!({"image": image})).await?;
        let new = |f: &Function| f.status.as_ref().is_some_and(|status| status.revision != before);
        stage.scene.function_when("busy", "on the new revision", new).await?;
        took.push(stage.clock.now() - began);
        if !even {
            stage.watch(&step, HIGH / 2).await;
            flow.change(shapes(SHORT_MS));
        }
        stage.watch(&step, LOW).await;
        step.advance();
    }
    step.done("");
    Ok(took)
}

/// Short calls with pauses around the idle window, so that they meet the way to zero at every point.
async fn naps(stage: &Stage, duration: Duration) -> Result<()> {
    let end = stage.clock.now() + duration.as_secs_f64();
    let mut number: u32 = 0;
    while stage.clock.now() < end {
        let load = stage.load("naps", "napping", Pace::AtOnce(10), shapes(SHORT_MS)).start(&stage.journal).await?;
        tokio::time::sleep(Duration::from_millis(500)).await;
        load.end().await?;
        // From 0.5 s before the window's end to 2.5 s after it, in an order that visits them all.
        let jitter = Duration::from_millis(u64::from(number * 37 % 61) * 50);
        tokio::time::sleep(Duration::from_millis(5500) + jitter).await;
        number += 1;
    }
    Ok(())
}

async fn arrived_once(logs: &[Logs; 2], sent: &BTreeSet<String>, report: &mut Report) {
    let of = |function: &str| sent.iter().filter(|id| id.starts_with(&format!("{function}."))).cloned().collect();
    let (busy, napping): (BTreeSet<String>, BTreeSet<String>) = (of("busy"), of("napping"));
    let complete = busy.len() + napping.len() == sent.len();
    let (first, second) = tokio::join!(logs[0].exactly_once(&busy), logs[1].exactly_once(&napping));
    let wrong = first.err().or(second.err()).map(|error| format!("{error:#}").chars().take(500).collect::<String>());
    let seen = wrong.clone().unwrap_or_else(|| format!("{} ids", sent.len()));
    report.check("each id stands in the logs once", "all", seen, complete && wrong.is_none() && !sent.is_empty());
}

fn scale_downs(stage: &Stage, report: &mut Report) -> Result<()> {
    let mut writes = audit::scalings(&stage.scene.cluster, &stage.scene.namespace)?;
    writes.retain(audit::Scaling::accepted);
    writes.sort_by_key(|write| write.answered);
    let mut level: BTreeMap<&str, i64> = BTreeMap::new();
    let (mut fewer, mut zero, mut orders) = (0, 0, Vec::new());
    for write in &writes {
        let before = level.insert(&write.deployment, write.replicas).unwrap_or(0);
        if write.replicas < before {
            if write.replicas == 0 { zero += 1 } else { fewer += 1 }
        }
        let pod = if write.by_operator() { write.pod.clone() } else { String::new() };
        let (at, deployment) = (stage.clock.of(write.answered), write.deployment.clone());
        orders.push(Order { at, deployment, pod, replicas: write.replicas });
    }
    let wanted = stage.much(20, 2);
    let each = stage.much(5, 1);
    report.check(
        "scale-downs",
        format!("≥ {wanted}, of each kind ≥ {each}"),
        format!("{fewer} to fewer, {zero} to zero"),
        fewer + zero >= wanted && fewer >= each && zero >= each,
    );
    let deletions: Vec<Deletion> = audit::writes(&stage.scene.cluster, stage.clock.wall())?
        .into_iter()
        .filter(|write| write.resource == "pods" && write.verb == "delete" && write.namespace == stage.scene.namespace)
        .filter(|write| write.code == 200)
        .map(|write| Deletion { at: stage.clock.of(write.received), pod: write.name, by: write.agent })
        .collect();
    let (went, undrained) = undrained(&deletions, &stage.journal.samples(|_| true), &orders, DRAIN as f64);
    report.check("pods whose deletion was recorded", "≥ 1", went, went > 0);
    let at_fault: Vec<_> = undrained.iter().filter(|pod| pod.at_fault).collect();
    let seen = format!("{} {}", at_fault.len(), at_fault.first().map(|pod| pod.why).unwrap_or_default());
    report.check("pods deleted for fewer replicas, not drained", "0", seen.trim_end(), at_fault.is_empty());
    report.figure("pods deleted", "pods", went as f64);
    report.figure("of these not drained", "pods", undrained.len() as f64);
    report.series("orders", &orders);
    report.series("undrained", &undrained);
    if !undrained.is_empty() {
        report.leave_out(format!(
            "{} of {} pods that were deleted while not drained: collected with their Deployment, for no order of fewer within {DRAIN} s, by what arrived later, or by an answer that may have ended before; each with its reason in `series.undrained`",
            undrained.len() - at_fault.len(),
            undrained.len()
        ));
    }
    let known = stage.journal.samples(|sample| sample.failure.is_none() && sample.arrived.is_none()).len();
    if known > 0 {
        report.leave_out(format!("{known} answers did not say which pod gave them: they count for no pod's drain"));
    }
    stage.journal.samples(|sample| sample.pod.is_some()).first().context("no answer said which pod gave it")?;
    Ok(())
}
