//! Five times what a function's replicas can answer: they go on at full speed, and the rest is told so at once.

use std::time::Duration;

use anyhow::{Context, Result};
use http::Method;
use serde_json::json;

use super::{report::Report, stage::Stage};
use crate::{
    bench::{idle, stats::Spread},
    load::{Journal, Pace, Sample, Shape},
};

/// Replicas. Each works on four requests at a time (`/work` of the test application).
const REPLICAS: usize = 2;
const AT_A_TIME: usize = 4;
const REQUEST_MS: u64 = 50;
/// Requests that may wait beyond that.
const QUEUE: usize = 40;
/// How much more is asked for than there is.
const TIMES: f64 = 5.0;
/// The beginning and the end of a load say nothing of its course, in seconds.
const EDGE: f64 = 2.0;
/// Resident memory that may come and go, in KiB.
const FLAT: f64 = 8.0 * 1024.0;
const REFUSED: &str = "503 ";

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let at_once = REPLICAS * AT_A_TIME;
    let scaling = json!({"minReplicas": REPLICAS, "maxReplicas": REPLICAS, "target": AT_A_TIME,
        "targetUtilizationPercent": 100});
    stage.function("busy", json!({"scaling": scaling, "queue": {"maxRequests": QUEUE}})).await?;
    stage.serving("busy", REPLICAS).await?;
    let work = || vec![Shape { method: Method::GET, path: format!("/work?ms={REQUEST_MS}"), body: 0, events: None }];

    let seconds = stage.much(20, 8);
    let (began, ended) = phase(stage, "capacity", Pace::AtOnce(at_once * 2), work(), seconds).await?;
    let capacity = rate(&stage.journal, "capacity", began + EDGE, ended - EDGE);
    report.figure("capacity: answered with twice as many at once as are worked on", "per second", capacity);

    let before = resident(stage).await?;
    let seconds = stage.much(60, 15);
    let (began, ended) = phase(stage, "overload", Pace::PerSecond(capacity * TIMES), work(), seconds).await?;
    let after = resident(stage).await?;
    // The way back begins while the last ones still wait.
    let (returned, _) = phase(stage, "recovery", Pace::PerSecond(capacity / 2.0), work(), 10).await?;

    let sent = stage.journal.samples(|sample| sample.load == "overload");
    let goodput = rate(&stage.journal, "overload", began + EDGE, ended - EDGE);
    report.check(
        format!("answered at {TIMES} × capacity, of {} sent in {seconds} s", sent.len()),
        format!("≥ {:.0} per second, 90 % of capacity", capacity * 0.9),
        format!("{goodput:.0} per second"),
        goodput >= capacity * 0.9,
    );
    let refused: Vec<&Sample> = sent.iter().filter(|sample| is_refused(sample)).collect();
    let took =
        Spread::of(refused.iter().map(|sample| (sample.ended - sample.sent) * 1e3)).context("none was refused")?;
    report.check(
        format!("99 % of {} refusals told", refused.len()),
        "within 50 ms",
        format!("{:.1} ms, the slowest {:.1} ms", took.p99, took.max),
        took.p99 <= 50.0,
    );
    report.spread("refusals", "ms", refused.iter().map(|sample| (sample.ended - sample.sent) * 1e3));
    report.spread(
        "answers",
        "ms",
        sent.iter().filter(|one| one.failure.is_none()).map(|one| (one.ended - one.sent) * 1e3),
    );
    let other: Vec<_> = sent.iter().filter(|one| one.failure.is_some() && !is_refused(one)).collect();
    let why = other.first().and_then(|one| one.failure.clone()).unwrap_or_default();
    report.check("failed otherwise", "0", format!("{} {why}", other.len()).trim_end(), other.is_empty());
    report.check(
        "resident memory of the activator, over the load",
        format!("at most {:.0} MiB more", FLAT / 1024.0),
        format!("{:+.1} MiB, {:.1} MiB then", (after - before) / 1024.0, after / 1024.0),
        after - before <= FLAT,
    );
    let bad = stage.journal.samples(|sample| sample.load == "recovery" && sample.failure.is_some());
    let recovered = bad.iter().map(|sample| sample.sent - returned).fold(0.0, f64::max);
    report.check(
        "from the end of the overload to the last request that is not answered",
        "≤ 5 s",
        format!("{recovered:.1} s, {} requests", bad.len()),
        recovered <= 5.0,
    );
    report.leave_out("the activator's own capacity: generator, replicas and activator share this machine's processors");
    Ok(())
}

/// A load for so many seconds; from when to when, on the run's clock. Its last answers are waited for while the next one runs.
async fn phase(stage: &Stage, name: &'static str, pace: Pace, shapes: Vec<Shape>, seconds: u64) -> Result<(f64, f64)> {
    let step = stage.long(name, seconds);
    let load = stage.load(name, "busy", pace, shapes).start(&stage.journal).await?;
    let began = stage.clock.seconds(load.began());
    stage.watch(&step, Duration::from_secs(seconds)).await;
    let ended = stage.clock.now();
    load.end().await?;
    step.done("");
    Ok((began, ended))
}

/// Answers a second, of those that ended in this time.
fn rate(journal: &Journal, load: &str, from: f64, to: f64) -> f64 {
    let within = |one: &Sample| one.load == load && one.failure.is_none() && one.ended >= from && one.ended < to;
    journal.samples(within).len() as f64 / (to - from)
}

fn is_refused(sample: &Sample) -> bool {
    sample.failure.as_ref().is_some_and(|why| why.starts_with(REFUSED))
}

/// Resident memory of the activators, in KiB.
async fn resident(stage: &Stage) -> Result<f64> {
    let figures = idle::measure(&stage.scene.cluster).await?;
    Ok(figures.processes.iter().filter(|one| one.name == "activator").map(|one| one.rss_mib * 1024.0).sum())
}
