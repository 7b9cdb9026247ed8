//! Ten thousand requests that wait for one start, and many functions that are woken at once.

use std::time::Duration;

use ::kube::ResourceExt;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::time::interval;

use super::{report::Report, stage::Stage};
use crate::{
    audit,
    bench::{h2load::Processes, stats::Spread},
    install,
    load::{Load, Pace, Running, Sample, Shape, overtaken_in_queue},
    metrics,
    scene::{PATIENCE, until},
};

/// Requests that wait for one function, half of them over each protocol.
const HELD: usize = 10_000;
/// Bytes of the body of each.
const BODY: usize = 1024;
/// After so long the function listens.
const DELAY: Duration = Duration::from_secs(5);
/// What they may cost the activator, their connections included, in bytes.
const GROWTH: f64 = 200e6;
/// How well it is known when a request came: a thread of the activator may be interrupted between the look at the clock and
/// the queue. In seconds.
const CAME: f64 = 0.02;
/// How well it is known when one was let go, in seconds. What is let go together is so in one loop, under the queue's lock.
const WENT: f64 = 0.000_05;
/// Functions that are woken at once.
const FUNCTIONS: usize = 100;
/// Requests for each of them.
const EACH: usize = 20;
/// The request that wakes the function, ahead of those: how long each of them was in the queue from when the pod was ready on
/// can be told only of those that came after the wake.
const FIRST: &str = "first";
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(100);
/// Files that this process must be able to open: connections, and what there is besides.
const FILES: u64 = HELD as u64 + 1000;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    more_files()?;
    one_start(stage, report).await?;
    many_starts(stage, report).await?;
    stage.no_failures(report);
    report.leave_out(
        "a place in the order is when the activator says that a request came, counted from when its pod was ready: it knows nothing of the way there",
    );
    Ok(())
}

/// One function, and all that wait for it.
async fn one_start(stage: &Stage, report: &mut Report) -> Result<()> {
    let number = stage.much(HELD, 1000);
    let slow = json!([{"name": "START_DELAY_MS", "value": DELAY.as_millis().to_string()}]);
    let scaling = json!({"maxReplicas": 1});
    stage.function("held", json!({"scaling": scaling, "env": slow, "queue": {"maxRequests": number + 1}})).await?;
    // One of an earlier build may still be on its way out.
    stage.rouse.settled(install::ACTIVATOR).await?;
    let pods = stage.rouse.pods(install::ACTIVATOR).await?;
    ensure!(pods.len() == 1, "there are {} activators, and one is measured", pods.len());
    let activator = Processes::of_pod(&pods[0].uid().unwrap_or_default())?;

    let step = stage.long(format!("{number} requests for one start"), 30);
    let before = activator.memory_kib()?;
    let first = stage.load(FIRST, "held", Pace::Once(1), vec![Shape::upload(BODY)]).start(&stage.journal).await?;
    until("the function is woken", PATIENCE, async || Ok((stage.scene.replicas("held").await? > 0).then_some(())))
        .await?;
    let load = stage.load("held", "held", Pace::Once(number), vec![Shape::upload(BODY)]);
    let load = load.start(&stage.journal).await?;
    let connected = activator.memory_kib()?;
    let (mut most, mut held, mut holding) = (connected, 0.0_f64, connected);
    let mut look = interval(LOOK);
    let mut answers = Box::pin(load.end());
    loop {
        tokio::select! {
            ended = &mut answers => {
                first.end().await?;
                break ended?;
            }
            _ = look.tick() => {}
        }
        let memory = activator.memory_kib()?;
        most = most.max(memory);
        // A busy activator may be late with its metrics.
        if let Ok(now) = metrics::of(&pods[0]).await {
            let now = metrics::sum(&now, "rouse_activator_held_requests");
            if now >= held {
                (held, holding) = (now, memory);
            }
        }
        let (sent, failed) = stage.journal.so_far();
        step.at(format!("{held} held, {sent} answered, {failed} failed"));
    }
    step.done(&format!("{held} held at once"));

    let samples = stage.journal.samples(|sample| sample.load == "held");
    report.check("requests held at once", number, held, held >= number as f64);
    let grown = most.saturating_sub(before) as f64 * 1024.0;
    report.check(
        format!("resident memory of the activator, over {number} held requests of {BODY} bytes"),
        format!("at most {:.0} MB more", GROWTH / 1e6),
        format!("{:+.1} MB, {:.1} KiB each", grown / 1e6, grown / 1024.0 / number as f64),
        grown <= GROWTH,
    );
    let mib = |kib: u64| kib.saturating_sub(before) as f64 / 1024.0;
    report.figure("of it for open connections alone, about", "MiB", mib(connected));
    report.figure("of it while they are held", "MiB", mib(holding));
    report.figure("still there when all are answered", "MiB", mib(activator.memory_kib()?));
    let (late, known) = overtaken_in_queue(&samples, CAME, WENT);
    report.check(
        format!("overtaken: one that came {:.0} ms later was let go {} ms earlier", CAME * 1e3, WENT * 1e3),
        format!("0 of {number}"),
        format!("{late} of {known}"),
        late == 0 && known == number,
    );
    let finer = overtaken_in_queue(&samples, CAME / 10.0, WENT).0;
    report.figure(format!("the same, come {:.0} ms later", CAME * 1e2), "requests", finer as f64);
    let came =
        Spread::of(samples.iter().filter_map(|sample| sample.queued.map(|(came, _)| came))).context("no stamp")?;
    report.figure("from the first that came to the last", "s", came.max - came.min);
    let after = |sample: &Sample| sample.queued.map(|(_, released)| released * 1e3);
    report.spread("let go after the pod was ready", "ms", samples.iter().filter_map(after));
    wakes(stage, report, &["held".to_owned()]).await
}

/// Many functions at zero, all asked at once.
async fn many_starts(stage: &Stage, report: &mut Report) -> Result<()> {
    let functions = stage.much(FUNCTIONS, 10);
    let step = stage.steps.begin(format!("{functions} functions at zero"));
    let names: Vec<String> = (0..functions).map(|number| format!("many-{number}")).collect();
    for name in &names {
        stage.function(name, json!({})).await?;
    }
    step.done("");
    let step = stage.long(format!("{EACH} requests for each of {functions} functions"), 40);
    let loads = names.iter().map(|name| stage.load("many", name, Pace::Once(EACH), vec![Shape::upload(BODY)]));
    let running = try_join_all(loads.map(|load: Load| load.start(&stage.journal))).await?;
    try_join_all(running.into_iter().map(Running::end)).await?;
    step.done("");
    let samples = stage.journal.samples(|sample| sample.load == "many");
    let whole = samples.iter().filter(|sample| sample.failure.is_none()).count();
    let wanted = functions * EACH;
    report.check("requests answered", wanted, whole, whole == wanted);
    let took = Spread::of(samples.iter().map(|sample| sample.took_ms() / 1e3)).context("no request")?;
    report.figure(format!("{functions} functions, until all had answered"), "s", took.max);
    wakes(stage, report, &names).await
}

/// That each of these functions was woken once, however many waited for it.
async fn wakes(stage: &Stage, report: &mut Report, functions: &[String]) -> Result<()> {
    let all = audit::scalings(&stage.scene.cluster, &stage.scene.namespace)?;
    let (mut least, mut most) = (usize::MAX, 0);
    for function in functions {
        let revision = stage.revision(function).await?;
        let wakes = all.iter().filter(|scaling| scaling.deployment == revision && scaling.by_activator()).count();
        (least, most) = (least.min(wakes), most.max(wakes));
    }
    report.check(
        format!("wakes of each of {} functions", functions.len()),
        1,
        format!("{least} to {most}"),
        (least, most) == (1, 1),
    );
    Ok(())
}

/// Lets this process open as many files as it needs.
fn more_files() -> Result<()> {
    let (now, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    ensure!(most >= FILES, "this process may open {most} files, and needs {FILES}: see `ulimit -Hn`");
    setrlimit(Resource::RLIMIT_NOFILE, now.max(FILES), most)?;
    Ok(())
}
