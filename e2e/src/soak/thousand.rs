//! A thousand idle functions: what they cost, how soon they are Ready, and what a restart of the operator does.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use ::kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Function};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::{Value, json};

use super::{report::Report, stage::Stage};
use crate::{
    audit,
    bench::{idle, stats::Spread},
    http, install, metrics,
    record::Record,
    scene::{APP, PATIENCE, holds, until},
};

/// Goals: memory of an installation without functions, and of each function, in KiB.
const BASE_KIB: f64 = 64.0 * 1024.0;
const EACH_KIB: f64 = 50.0;
/// Until all are Ready after one `kubectl apply`, in seconds.
const READY: f64 = 60.0;
/// Until a restarted operator is calm, in seconds.
const CALM: f64 = 10.0;
/// How much slower one of a thousand may wake than one alone, by medians: the spread of a cold start itself.
const SLOWER: f64 = 1.1;
/// Calm: hardly a pass over a function within this.
const QUIET: Duration = Duration::from_secs(3);
/// Longest wait for either.
const LIMIT: Duration = Duration::from_secs(300);
const PASSES: &str = "rouse_operator_reconciles_total";

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let number = stage.much(1000, 100);
    let colds = stage.much(15, 3);
    stage.function("alone", spec()).await?;
    let before = memory(stage, report, "before").await?;
    let alone = cold_starts(stage, "alone, before", &vec!["alone".to_owned(); colds + 1]).await?;

    let names: Vec<String> = (0..number).map(|n| format!("idle-{n}")).collect();
    apply(stage, report, &names).await?;
    let step = stage.steps.begin("the operator calms down");
    calm(stage, number).await?;
    step.done("");
    let after = memory(stage, report, "after").await?;
    let goal = BASE_KIB + EACH_KIB * number as f64;
    report.check(
        format!("operator and activator with {number} idle functions"),
        format!("≤ {:.1} MiB", goal / 1024.0),
        format!("{:.1} MiB", after / 1024.0),
        after <= goal,
    );
    report.figure("growth by each function", "KiB", (after - before) / number as f64);

    restart(stage, report, number).await?;
    // The goal is for an installation of any age.
    let restarted = memory(stage, report, "after a restart of the operator").await?;
    report.check(
        format!("operator and activator with {number} idle functions, after a restart of the operator"),
        format!("≤ {:.1} MiB", goal / 1024.0),
        format!("{:.1} MiB", restarted / 1024.0),
        restarted <= goal,
    );
    report.figure("memory after the restart, of that before", "%", restarted / after * 100.0);

    let some: Vec<String> = (0..=colds).map(|n| names[n * 61 % names.len()].clone()).collect();
    let among = cold_starts(stage, "among all", &some).await?;
    let again = cold_starts(stage, "alone, after", &vec!["alone".to_owned(); colds + 1]).await?;
    let median = |times: &[f64]| Spread::of(times.iter().copied()).map_or(f64::NAN, |spread| spread.p50);
    let ratio = median(&among) / median(&alone);
    report.check(
        format!("cold start of one of {number} beside that of the only one: ratio of medians"),
        format!("≤ {SLOWER}"),
        format!("{ratio:.3}"),
        ratio <= SLOWER,
    );
    report.figures("cold start, one function only", "ms", alone);
    report.figures(format!("cold start, one of {number}"), "ms", among);
    report.figures("cold start, the first one again, among all", "ms", again);
    let flags = report.environment.controller_manager.join(" ");
    report.leave_out(format!(
        "the controller manager runs with {flags}, which are the defaults: it limits what needs ReplicaSets"
    ));
    report.leave_out(
        "renewals of the Lease and reviews of activators' tokens do not count as writes of a restarted operator",
    );
    report.leave_out("the first cold start of each kind");
    Ok(())
}

/// Never to zero by itself while it is measured.
fn spec() -> Value {
    json!({"image": APP, "resources": {"memory": "32Mi", "cpu": "10m"}, "scaling": {"windowSeconds": 3600}})
}

/// All at once, as a user does.
async fn apply(stage: &Stage, report: &mut Report, names: &[String]) -> Result<()> {
    let functions: Record<Function> = Record::start(stage.scene.api(), "").await?;
    let items: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": spec()})
        })
        .collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let step = stage.steps.begin(format!("kubectl apply of {} functions", names.len()));
    let began = Instant::now();
    tokio::task::block_in_place(|| stage.scene.kubectl(&["apply", "--filename", "-"], &list))?;
    let applied = began.elapsed().as_secs_f64();
    step.done("");
    let step = stage.steps.begin("all Ready");
    step.of(names.len() as u64);
    // When each was Ready for the first time, from the start of the apply.
    let times = until("all are Ready", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (mut known, mut times) = (BTreeSet::new(), Vec::new());
        functions.each(|seen| {
            let name = seen.object.name_any();
            if name != "alone" && holds(&seen.object, ConditionType::Ready) && known.insert(name) {
                times.push(seen.at.saturating_duration_since(began).as_secs_f64());
            }
        });
        step.at(format!("{} are", times.len()));
        Ok((times.len() == names.len()).then_some(times))
    });
    let times = times.await?;
    let last = times.iter().copied().fold(0.0, f64::max);
    step.done(&format!("after {last:.1} s"));
    report.check(
        format!("all {} Ready after one `kubectl apply`", names.len()),
        format!("≤ {READY} s"),
        format!("{last:.1} s, of which the command itself took {applied:.1} s"),
        last <= READY,
    );
    report.figure("kubectl apply", "s", applied);
    report.spread("start of the apply to Ready", "s", times.iter().copied());
    report.series("ready", &times);
    let pods = stage.scene.api::<Pod>().list_metadata(&Default::default()).await?.items.len();
    report.check("pods of functions that nobody called", 0, pods, pods == 0);
    Ok(())
}

/// Resident memory of operator and activator together, in KiB.
async fn memory(stage: &Stage, report: &mut Report, when: &str) -> Result<f64> {
    let figures = idle::measure(&stage.scene.cluster).await?;
    for process in &figures.processes {
        report.figure(format!("{} {when}", process.name), "MiB", process.rss_mib);
    }
    report.series(format!("memory {when}"), &figures);
    Ok(figures.together_mib * 1024.0)
}

/// Waits until the operator makes hardly a pass any more. Gives the moment from which on that was so.
async fn calm(stage: &Stage, number: usize) -> Result<Instant> {
    let passes = async || -> Result<Option<f64>> {
        let leader = stage.rouse.leader().await?;
        // One that starts says nothing yet.
        Ok(metrics::of(&leader).await.ok().map(|read| metrics::sum(&read, PASSES)))
    };
    let hardly = (number as f64 / 100.0).max(3.0);
    let mut since = (Instant::now(), None);
    until("the operator is calm", LIMIT, async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = passes().await?;
        let rests = match (now, since.1) {
            // A restart begins at nought.
            (Some(now), Some(then)) => now >= then && now - then <= hardly,
            _ => false,
        };
        if !rests {
            since = (Instant::now(), now);
        }
        Ok((since.0.elapsed() >= QUIET).then_some(since.0))
    })
    .await
}

async fn restart(stage: &Stage, report: &mut Report, number: usize) -> Result<()> {
    let step = stage.steps.begin("the operator restarted");
    let leader = stage.rouse.leader().await?;
    let (began, wall) = (Instant::now(), jiff::Timestamp::now());
    stage.rouse.delete(&leader).await?;
    stage.rouse.another_leader(&leader).await?;
    let leads = began.elapsed().as_secs_f64();
    let took = calm(stage, number).await?.saturating_duration_since(began).as_secs_f64();
    stage.rouse.settled(install::OPERATOR).await?;
    // Late writes would come with a second thought.
    tokio::time::sleep(QUIET * 2).await;
    let passes = metrics::sum(&metrics::of(&stage.rouse.leader().await?).await?, PASSES);
    step.done(&format!("calm after {took:.1} s"));
    report.check(
        "a restarted operator is calm, from the deletion of the old one's pod",
        format!("≤ {CALM} s"),
        format!("{took:.1} s, of which {leads:.1} s until the new one led"),
        took <= CALM,
    );
    report.check("and has looked at every function", format!("≥ {number} passes"), passes, passes >= number as f64);
    report.figure("deletion to the new leader", "s", leads);
    report.figure("deletion to calm", "s", took);
    report.figure("passes of the new operator", "passes", passes);

    let mut writes = audit::writes(&stage.scene.cluster, wall)?;
    writes.retain(|write| write.user.ends_with(":rouse-operator"));
    let renewals = writes.iter().filter(|write| write.resource == "leases").count();
    writes.retain(|write| write.resource != "leases" && write.group != "authentication.k8s.io");
    let words: Vec<String> =
        writes.iter().map(|w| format!("{} {} {}/{} {}", w.verb, w.resource, w.namespace, w.name, w.code)).collect();
    let seen = format!("{} {}", words.len(), words.iter().take(3).cloned().collect::<Vec<_>>().join("; "));
    // Without a renewal the record would be of nothing.
    report.check("writes of a restarted operator", "0", seen.trim_end(), words.is_empty() && renewals > 0);
    report.series("writes of the restarted operator", &words);
    Ok(())
}

/// A cold start of each, in milliseconds; the first does not count. Each goes back to zero at once.
async fn cold_starts(stage: &Stage, what: &str, names: &[String]) -> Result<Vec<f64>> {
    let step = stage.steps.begin(format!("cold starts, {what}"));
    step.of(names.len() as u64);
    let deployments: Api<Deployment> = stage.scene.api();
    let mut times = Vec::new();
    for name in names {
        let revision = stage.revision(name).await?;
        let host = stage.scene.host(name);
        let begin = Instant::now();
        let answer = http::get(stage.scene.entry, &host, "/", PATIENCE).await.with_context(|| name.clone())?;
        ensure!(answer.status == 200, "{name} answered {} {}", answer.status, answer.text());
        ensure!(answer.header("rouse-cold-start") == Some("true"), "{name} was not at zero");
        times.push((answer.first_byte - begin).as_secs_f64() * 1e3);
        let zero = Patch::Merge(json!({"spec": {"replicas": 0}}));
        deployments.patch_scale(&revision, &PatchParams::default(), &zero).await?;
        stage.scene.at_zero(name).await?;
        step.advance();
    }
    step.done("");
    Ok(times.split_off(1))
}
