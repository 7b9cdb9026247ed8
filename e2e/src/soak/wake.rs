//! Many functions woken at once, beside as many bare Deployments of the same pod scaled at once, in turn.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use ::kube::{
    Api, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, future::try_join_all};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::json;
use tokio::task::JoinSet;

use super::{report::Report, stage::Stage};
use crate::{
    bench::stats::Spread,
    http::{self, Connection},
    scene::until,
};

/// Label of the bare pods.
const BARE: &str = "bare";
/// Longest round: 100 pods on two cores take some twenty seconds.
const PATIENCE: Duration = Duration::from_secs(240);
/// Largest ratio of medians.
const GOAL: f64 = 1.1;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let most = stage.much(100, 20);
    let fleet = Fleet::make(stage, most).await?;
    let few = stage.much(20, 5);
    let (bare, functions) = fleet.rounds(few, stage.much(9, 2)).await?;
    let median = |times: &[f64]| Spread::of(times.iter().copied()).map_or(f64::NAN, |spread| spread.p50);
    let ratio = median(&functions) / median(&bare);
    report.check(
        format!("{few} functions woken at once, beside {few} bare Deployments: ratio of medians"),
        format!("≤ {GOAL}"),
        format!("{ratio:.3}"),
        ratio <= GOAL,
    );
    report.figures(format!("{few} bare Deployments, until all had answered"), "ms", bare);
    report.figures(format!("{few} functions, until all had answered"), "ms", functions);

    let (bare, functions) = fleet.rounds(most, stage.much(3, 1)).await?;
    report.figure(format!("{most} at once: ratio of medians"), "", median(&functions) / median(&bare));
    report.figures(format!("{most} bare Deployments, until all had answered"), "ms", bare);
    report.figures(format!("{most} functions, until all had answered"), "ms", functions);
    report.leave_out("one round of each size before those that count: images are unpacked and caches filled");
    report.leave_out("a bare pod is asked from the moment its address is in the API, each 5 ms, as the activator does");
    Ok(())
}

struct Fleet<'a> {
    stage: &'a Stage,
    /// Each function's Deployment.
    revisions: Vec<String>,
}

impl<'a> Fleet<'a> {
    /// Functions at zero, and bare Deployments at zero of the very same pod but for its labels.
    async fn make(stage: &'a Stage, number: usize) -> Result<Self> {
        let step = stage.steps.begin(format!("{number} functions and {number} bare Deployments"));
        let deployments: Api<Deployment> = stage.scene.api();
        let mut revisions = Vec::new();
        for n in 0..number {
            // The run itself brings them back to zero, so that nothing goes on beside a measurement.
            stage.function(&format!("f-{n}"), json!({"scaling": {"windowSeconds": 3600}})).await?;
            let revision = stage.revision(&format!("f-{n}")).await?;
            let model = deployments.get(&revision).await?;
            let mut template = serde_json::to_value(model.spec.context("a Deployment without a spec")?.template)?;
            let name = format!("bare-{n}");
            template["metadata"]["labels"] = json!({"app": name, BARE: "true"});
            let selector = json!({"matchLabels": {"app": name}});
            let bare = json!({"metadata": {"name": name},
                "spec": {"replicas": 0, "selector": selector, "template": template}});
            deployments.create(&PostParams::default(), &serde_json::from_value(bare)?).await?;
            revisions.push(revision);
        }
        step.done("");
        Ok(Self { stage, revisions })
    }

    /// Rounds of both, in turn and each first every other time. Gives milliseconds, bare and functions.
    async fn rounds(&self, number: usize, rounds: usize) -> Result<(Vec<f64>, Vec<f64>)> {
        let each = number as u64 * 2 / 5 + 10;
        let step = self.stage.long(format!("{number} at once, {rounds} rounds of both"), each * (rounds as u64 + 1));
        step.of(rounds as u64 + 1);
        let (mut bare, mut functions) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            let (b, f) = if round % 2 == 0 {
                let b = self.bare(number).await?;
                (b, self.functions(number).await?)
            } else {
                let f = self.functions(number).await?;
                (self.bare(number).await?, f)
            };
            step.advance();
            if round > 0 {
                bare.push(b.as_secs_f64() * 1e3);
                functions.push(f.as_secs_f64() * 1e3);
            }
        }
        step.done("");
        Ok((bare, functions))
    }

    async fn bare(&self, number: usize) -> Result<Duration> {
        let names: Vec<String> = (0..number).map(|n| format!("bare-{n}")).collect();
        let pods: Api<Pod> = self.stage.scene.api();
        let selector = format!("{BARE}=true");
        let seen = pods.list(&ListParams::default().labels(&selector)).await?;
        ensure!(seen.items.is_empty(), "the bare Deployments are not at zero");
        let version = seen.metadata.resource_version.unwrap_or_default();
        let mut events = pods.watch(&WatchParams::default().labels(&selector), &version).await?.boxed();
        // Connections for all of them, as a warm activator has them.
        self.scale(&names, 0).await?;
        let begin = Instant::now();
        let answered = async {
            let (mut asked, mut answers) = (BTreeSet::new(), JoinSet::new());
            while asked.len() < number {
                let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) =
                    events.try_next().await?.context("the watch of the bare pods ended")?
                else {
                    continue;
                };
                let Some(ip) = pod.status.as_ref().and_then(|status| status.pod_ip.clone()) else { continue };
                if asked.insert(pod.name_any()) {
                    let address: SocketAddr = format!("{ip}:8080").parse()?;
                    answers.spawn(async move { http::first_byte(address, "/", PATIENCE).await });
                }
            }
            while let Some(answer) = answers.join_next().await {
                answer??;
            }
            anyhow::Ok(begin.elapsed())
        };
        let scaled = self.scale(&names, 1);
        let both = async { tokio::try_join!(answered, scaled) };
        let (took, ()) = tokio::time::timeout(PATIENCE, both).await.context("the bare pods do not answer")??;
        self.to_zero(&names, &selector).await?;
        Ok(took)
    }

    async fn functions(&self, number: usize) -> Result<Duration> {
        let entry = self.stage.scene.entry;
        let mut connections = try_join_all((0..number).map(|_| Connection::open(entry))).await?;
        let begin = Instant::now();
        let asked = connections.iter_mut().enumerate().map(async |(n, connection)| {
            let answer = connection.get(&self.stage.scene.host(&format!("f-{n}")), "/").await?;
            ensure!(answer.status == 200, "f-{n} answered {} {}", answer.status, answer.text());
            ensure!(answer.header("rouse-cold-start") == Some("true"), "f-{n} was not at zero");
            anyhow::Ok(answer.first_byte)
        });
        let answers =
            tokio::time::timeout(PATIENCE, try_join_all(asked)).await.context("the functions do not answer")??;
        let last = answers.into_iter().max().context("no function")?;
        self.to_zero(&self.revisions[..number], crds::labels::FUNCTION).await?;
        Ok(last - begin)
    }

    async fn scale(&self, deployments: &[String], replicas: i32) -> Result<()> {
        let api: Api<Deployment> = self.stage.scene.api();
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        try_join_all(deployments.iter().map(async |name| api.patch_scale(name, &PatchParams::default(), &patch).await))
            .await?;
        Ok(())
    }

    /// Both sides must find the node quiet.
    async fn to_zero(&self, deployments: &[String], selector: &str) -> Result<()> {
        self.scale(deployments, 0).await?;
        let pods: Api<Pod> = self.stage.scene.api();
        let gone = until("the pods are gone", PATIENCE, async || {
            let left = pods.list_metadata(&ListParams::default().labels(selector)).await?.items.len();
            Ok((left == 0).then_some(()))
        });
        match gone.await {
            Ok(()) => Ok(()),
            Err(error) => bail!("{selector}: {error:#}"),
        }
    }
}
