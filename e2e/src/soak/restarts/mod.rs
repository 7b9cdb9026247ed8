//! The activators restarted under load, and killed.

mod goodbye;

use std::collections::BTreeSet;
use std::time::Duration;

use ::kube::ResourceExt;
use anyhow::{Result, ensure};
use http::Method;
use serde_json::json;

use super::{observed::Observed, report::Report, stage::Stage};
use crate::{
    install,
    load::{Load, Pace, Running, Sample, Shape},
    logs::Logs,
};
use goodbye::Goodbyes;

const FUNCTION: &str = "busy";
const RATE: f64 = 300.0;
const REQUEST_MS: u64 = 20;
const STREAMS: usize = 10;
/// The first event comes at once and each other one a second later: 30 s.
const STREAM_EVENTS: usize = 31;
/// HTTP/2 connections whose end is looked at.
const WATCHED: usize = 4;
/// Between two restarts.
const BETWEEN: Duration = Duration::from_secs(5);
/// Load before and after a kill.
const BEFORE: Duration = Duration::from_secs(10);
/// What a kill may do is looked for among the requests that were under way then, and those sent within this time, in seconds.
const AFTER: f64 = 30.0;
/// Of these so many must be answered, in percent.
const ANSWERED: f64 = 99.0;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    stage.rouse.scale(install::ACTIVATOR, 2).await?;
    let scaling = json!({"minReplicas": 2, "maxReplicas": 2});
    stage.function(FUNCTION, json!({"scaling": scaling, "timeouts": {"requestSeconds": 60}})).await?;
    stage.serving(FUNCTION, 2).await?;
    let logs = Logs::follow(&stage.scene, FUNCTION);
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;

    restarts(stage, report).await?;
    once(stage, report, &logs).await;
    stage.no_failures(report);
    kills(stage, report, &logs).await?;
    observed.tell(report);
    report.leave_out(
        "after a kill the generator does what a careful client does: a GET that broke before its answer is sent once more, and a connection that is refused is tried again for 5 s, as Kubernetes goes on for about two to send connections to a process that is dead",
    );
    Ok(())
}

/// Both loads, through the Service.
async fn loads(stage: &Stage, names: [&'static str; 2], again: bool) -> Result<[Running; 2]> {
    let shapes = vec![Shape::get(REQUEST_MS), Shape::post(REQUEST_MS)];
    let flow = stage.load(names[0], FUNCTION, Pace::PerSecond(RATE), shapes);
    let streams = stage.load(names[1], FUNCTION, Pace::AtOnce(STREAMS), vec![Shape::stream(STREAM_EVENTS)]);
    let flow = Load { again, ..flow }.start(&stage.journal).await?;
    Ok([flow, Load { again, ..streams }.start(&stage.journal).await?])
}

async fn restarts(stage: &Stage, report: &mut Report) -> Result<()> {
    let rounds = stage.much(10, 2);
    let goodbyes = Goodbyes::watch(stage.scene.entry, WATCHED);
    let loads = loads(stage, ["flow", "streams"], false).await?;
    let step = stage.long(format!("{rounds} rolling restarts"), rounds * 55);
    step.of(rounds);
    let (mut took, mut before) = (Vec::new(), uids(stage).await?);
    for _ in 0..rounds {
        stage.watch(&step, BETWEEN).await;
        let began = stage.clock.now();
        tokio::select! {
            done = stage.rouse.restart(install::ACTIVATOR) => done?,
            () = stage.watch(&step, Duration::from_secs(600)) => {}
        }
        took.push(stage.clock.now() - began);
        let after = uids(stage).await?;
        ensure!(before.is_disjoint(&after), "an activator was not restarted");
        before = after;
        step.advance();
    }
    stage.watch(&step, BETWEEN).await;
    let (told, untold) = goodbyes.told();
    drop(goodbyes);
    for load in loads {
        load.end().await?;
    }
    step.done("");

    report.check("rolling restarts of both activators", rounds, took.len(), took.len() as u64 == rounds);
    report.figures("a rolling restart, to the end of the last old pod", "s", took);
    let wanted = usize::try_from(rounds)? * WATCHED;
    report.check(
        "HTTP/2 connections that ended, by GOAWAY without an error",
        format!("all, ≥ {wanted}"),
        format!("{told} of {} {}", told + untold.len(), untold.first().map_or("", String::as_str)).trim_end(),
        told >= wanted && untold.is_empty(),
    );
    let last = stage.journal.samples(|sample| sample.load == "flow" && sample.last).len();
    let wanted = 2 * rounds;
    report.check("answers over HTTP/1.1 with `Connection: close`", format!("≥ {wanted}"), last, last as u64 >= wanted);
    Ok(())
}

async fn uids(stage: &Stage) -> Result<BTreeSet<String>> {
    Ok(stage.rouse.pods(install::ACTIVATOR).await?.iter().filter_map(ResourceExt::uid).collect())
}

async fn once(stage: &Stage, report: &mut Report, logs: &Logs) {
    let posts = stage.journal.samples(|sample| sample.method == Method::POST);
    let sent: BTreeSet<String> = posts.into_iter().map(|sample| sample.id).collect();
    let wrong = logs.exactly_once(&sent).await.err();
    let wrong = wrong.map(|error| format!("{error:#}").chars().take(500).collect::<String>());
    let seen = wrong.clone().unwrap_or_else(|| format!("{} ids", sent.len()));
    report.check("each id stands in the logs once", "all", seen, wrong.is_none() && !sent.is_empty());
}

async fn kills(stage: &Stage, report: &mut Report, logs: &Logs) -> Result<()> {
    let kills = stage.much(5, 1);
    let loads = loads(stage, ["flow, kills", "streams, kills"], true).await?;
    let step = stage.long(format!("{kills} times SIGKILL to one of two"), kills * 50);
    step.of(kills);
    let mut at = Vec::new();
    for number in 0..kills {
        stage.rouse.settled(install::ACTIVATOR).await?;
        stage.watch(&step, BEFORE).await;
        let pods = stage.rouse.pods(install::ACTIVATOR).await?;
        at.push(stage.clock.now());
        stage.rouse.crash(&pods[usize::try_from(number)? % pods.len()])?;
        stage.watch(&step, Duration::from_secs_f64(AFTER)).await;
        step.advance();
    }
    for load in loads {
        load.end().await?;
    }
    step.done("");

    let met = |kill: f64| {
        stage
            .journal
            .samples(|sample| sample.load.ends_with("kills") && sample.sent < kill + AFTER && sample.ended > kill)
    };
    let mut all: Vec<Vec<Sample>> = at.into_iter().map(met).collect();
    let share = |samples: &Vec<Sample>| {
        let first = samples.iter().filter(|sample| sample.failure.is_none() && sample.broke.is_none()).count();
        first as f64 / samples.len().max(1) as f64 * 100.0
    };
    let shares: Vec<f64> = all.iter().map(share).collect();
    let worst = shares.iter().copied().fold(100.0, f64::min);
    report.check(
        format!("answered when sent the first time, of those under way at the kill and in the {AFTER} s after it"),
        format!("≥ {ANSWERED} % at each of {kills}"),
        format!("{worst:.2} % at least"),
        worst >= ANSWERED && shares.len() as u64 == kills,
    );
    report.figures("answered when sent the first time, a kill", "%", shares);
    report.figures("broken by a kill, when sent the first time", "requests", {
        all.iter().map(|all| all.iter().filter(|one| one.failure.is_some() || one.broke.is_some()).count() as f64)
    });
    let all: Vec<Sample> = all.iter_mut().flat_map(std::mem::take).collect();
    let lost = |sample: &&Sample| sample.failure.is_some();
    let repeated: Vec<&Sample> = all.iter().filter(|sample| sample.broke.is_some()).collect();
    let seen = repeated.iter().find(|sample| sample.failure.is_some()).and_then(|sample| sample.failure.clone());
    report.check(
        "GETs that broke before their answer, answered when sent once more",
        "all, and at least one",
        format!("{} {}", repeated.len(), seen.as_deref().unwrap_or_default()).trim_end(),
        !repeated.is_empty() && seen.is_none(),
    );
    let strange: Vec<&Sample> =
        all.iter().filter(lost).filter(|sample| sample.method == Method::GET && !sample.stream).collect();
    let why = strange.first().and_then(|sample| sample.failure.clone()).unwrap_or_default();
    let seen = format!("{} {why}", strange.len());
    report.check("GETs that were not answered in the end", "0", seen.trim_end(), strange.is_empty());
    let inside: BTreeSet<&str> = all.iter().filter(lost).map(|sample| sample.id.as_str()).collect();
    let failed = stage.journal.samples(|sample| sample.load.ends_with("kills") && sample.failure.is_some());
    let outside = failed.iter().filter(|sample| !inside.contains(sample.id.as_str())).count();
    report.check("failed at another time", "0", outside, outside == 0);
    let more = logs.ids().into_iter().filter(|(_, times)| *times > 1).count();
    report.check("ids that arrived twice", "0", more, more == 0);
    report.figure("lost with an activator: POSTs", "requests", {
        all.iter().filter(lost).filter(|sample| sample.method == Method::POST).count() as f64
    });
    report.figure("lost with an activator: streams", "requests", {
        all.iter().filter(lost).filter(|sample| sample.stream).count() as f64
    });
    Ok(())
}
