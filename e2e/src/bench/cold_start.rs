//! Cold starts beside bare pod starts, in turn, in one run.
//!
//! (a) A bare Deployment with the very pod template of the function is scaled 0→1 and asked at its pod's IP until the
//! first byte comes. (b) A request goes through the activator to the function at zero. Both clocks run from the moment
//! before the first byte is sent (the patch, the request) to the first byte of the answer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use crds::labels;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{namespace, stats::Stats};
use crate::http::{self, Answer};

/// What the bench prints and writes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Median through the activator over median of the bare pod.
    pub ratio_p50: f64,
    /// The bare Deployment.
    pub bare: Stats,
    /// Through the activator.
    pub function: FunctionStats,
}

/// The function's side, with the medians of its phases.
#[derive(Clone, Debug, Serialize)]
pub struct FunctionStats {
    /// Whole cold starts.
    #[serde(flatten)]
    pub stats: Stats,
    /// Median of each phase of `Server-Timing`, in milliseconds.
    pub phases_ms: BTreeMap<String, f64>,
    /// Largest deviation of the phases' sum from the whole, as a share of the whole.
    pub phases_gap: f64,
}

/// One cold start through the activator.
pub(super) struct Sample {
    /// From before the request to the first byte of the answer.
    pub(super) took: Duration,
    phases: Vec<(String, f64)>,
}

/// Where the bench works.
pub struct Bench {
    /// The cluster.
    pub client: Client,
    /// The activator's address.
    pub entry: SocketAddr,
    /// A namespace of its own, made and removed by the bench.
    pub namespace: String,
    /// Image of the function.
    pub image: String,
}

const FUNCTION: &str = "cold";
const BARE: &str = "bare";
/// Longest single step: a start, or the way back to zero.
const PATIENCE: Duration = Duration::from_secs(60);

impl Bench {
    /// Runs `trials` of each side, in turn; `progress` hears of each.
    ///
    /// # Errors
    /// When the cluster refuses a step or one takes longer than a minute.
    pub async fn run(&self, trials: usize, mut progress: impl FnMut(usize, Duration, Duration)) -> Result<Report> {
        let (bare, function) =
            namespace::during(&self.client, &self.namespace, self.measure(trials, &mut progress)).await?;
        report(&bare, &function)
    }

    async fn measure(
        &self,
        trials: usize,
        progress: &mut impl FnMut(usize, Duration, Duration),
    ) -> Result<(Vec<Duration>, Vec<Sample>)> {
        let revision = self.function(FUNCTION, json!({})).await?;
        self.bare_like(&revision).await?;
        let (mut bare, mut function) = (Vec::new(), Vec::new());
        // One start of each side beforehand: images are unpacked and caches filled.
        for trial in 0..=trials {
            let (b, f) = if trial % 2 == 0 {
                let b = self.bare_start(&revision).await?;
                (b, self.cold_start(FUNCTION, &revision).await?)
            } else {
                let f = self.cold_start(FUNCTION, &revision).await?;
                (self.bare_start(&revision).await?, f)
            };
            if trial > 0 {
                progress(trial, b, f.took);
                bare.push(b);
                function.push(f);
            }
        }
        Ok((bare, function))
    }

    /// Makes a function with these resources and gives its revision once it is Ready.
    pub(super) async fn function(&self, name: &str, resources: Value) -> Result<String> {
        // The bench itself brings it back to zero, so that nothing goes on beside a measurement.
        let spec = json!({"image": self.image, "scaling": {"windowSeconds": 3600}, "resources": resources});
        namespace::function(&self.client, &self.namespace, name, spec).await
    }

    /// A Deployment at zero with the same pod template, but for the labels that would make it the function's.
    async fn bare_like(&self, revision: &str) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let model = deployments.get(revision).await?;
        let template = model.spec.context("a Deployment without a spec")?.template;
        let mut template = serde_json::to_value(template)?;
        template["metadata"]["labels"] = json!({"app": BARE});
        let bare: Deployment = serde_json::from_value(json!({
            "metadata": {"name": BARE},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": BARE}}, "template": template},
        }))?;
        deployments.create(&PostParams::default(), &bare).await?;
        Ok(())
    }

    async fn bare_start(&self, revision: &str) -> Result<Duration> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let selector = format!("app={BARE}");
        let seen = pods.list(&ListParams::default().labels(&selector)).await?;
        ensure!(seen.items.is_empty(), "the bare Deployment is not at zero");
        let version = seen.metadata.resource_version.unwrap_or_default();
        let mut events = pods.watch(&WatchParams::default().labels(&selector), &version).await?.boxed();
        // The watch has taken the open connection: without another one the patch would pay for TCP and TLS, and the floor
        // would not be a floor.
        self.scale(BARE, 0).await?;
        let begin = Instant::now();
        self.scale(BARE, 1).await?;
        let ip = tokio::time::timeout(PATIENCE, async {
            while let Some(event) = events.try_next().await? {
                let (WatchEvent::Added(pod) | WatchEvent::Modified(pod)) = event else { continue };
                if let Some(ip) = pod.status.and_then(|status| status.pod_ip) {
                    return Ok(ip);
                }
            }
            bail!("the watch of the bare pod ended")
        })
        .await
        .context("the bare pod got no IP")??;
        let address: SocketAddr = format!("{ip}:8080").parse()?;
        http::first_byte(address, "/", PATIENCE).await?;
        let took = begin.elapsed();
        self.to_zero(BARE, &selector).await?;
        // The function's side must be as quiet as this one.
        self.back_to_zero(FUNCTION, revision).await?;
        Ok(took)
    }

    /// One start from zero, and back to it.
    pub(super) async fn cold_start(&self, function: &str, revision: &str) -> Result<Sample> {
        let sample = self.start(function).await?;
        self.back_to_zero(function, revision).await?;
        Ok(sample)
    }

    /// One start from zero.
    pub(super) async fn start(&self, function: &str) -> Result<Sample> {
        let host = format!("{function}.{}", self.namespace);
        let begin = Instant::now();
        let Answer { status, headers, first_byte, .. } = http::get(self.entry, &host, "/", PATIENCE).await?;
        ensure!(status == 200, "the function answered {status}");
        ensure!(headers.get("rouse-cold-start").is_some_and(|v| v == "true"), "the start was not cold");
        let took = first_byte - begin;
        let timing = headers.get("server-timing").and_then(|v| v.to_str().ok()).context("no Server-Timing")?;
        let phases = http::server_timing(timing);
        Ok(Sample { took, phases })
    }

    /// Takes a function to zero, and sees it get there.
    pub(super) async fn back_to_zero(&self, function: &str, revision: &str) -> Result<()> {
        self.to_zero(revision, &format!("{}={function}", labels::FUNCTION)).await
    }

    async fn scale(&self, deployment: &str, replicas: i32) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client.clone(), &self.namespace);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        deployments.patch_scale(deployment, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn to_zero(&self, deployment: &str, selector: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Each time: the operator wakes it again if what it was told last is that a request is held.
            self.scale(deployment, 0).await?;
            let left = pods.list(&ListParams::default().labels(selector)).await?.items;
            let Some(pod) = left.first() else { return Ok(()) };
            ensure!(Instant::now() < deadline, "the pod {} does not go", pod.name_any());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn report(bare: &[Duration], function: &[Sample]) -> Result<Report> {
    let bare = Stats::of(bare).context("no measurement")?;
    let function = stats(function)?;
    let ratio_p50 = (function.stats.p50_ms / bare.p50_ms * 1000.0).round() / 1000.0;
    Ok(Report { ratio_p50, bare, function })
}

/// What cold starts of one function come to.
pub(super) fn stats(function: &[Sample]) -> Result<FunctionStats> {
    let took: Vec<Duration> = function.iter().map(|s| s.took).collect();
    let stats = Stats::of(&took).context("no measurement")?;
    let mut series: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    let mut phases_gap: f64 = 0.0;
    for sample in function {
        let whole = sample.took.as_secs_f64() * 1e3;
        let sum: f64 = sample.phases.iter().filter(|(name, _)| name != http::TOTAL).map(|(_, ms)| ms).sum();
        phases_gap = phases_gap.max((whole - sum).abs() / whole);
        for (name, ms) in &sample.phases {
            series.entry(name.clone()).or_default().push(Duration::from_secs_f64((ms / 1e3).max(0.0)));
        }
    }
    let phases_ms = series.into_iter().filter_map(|(name, series)| Some((name, Stats::of(&series)?.p50_ms))).collect();
    Ok(FunctionStats { stats, phases_ms, phases_gap })
}
