//! Cold starts of functions from source beside that of a static binary, and of the ways in which a text of 60 KiB can reach
//! a pod, in turn, in one run.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, api::PostParams};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    cold_start::{Bench, FunctionStats, Sample, stats},
    namespace,
};

/// Bytes of the text whose way is measured.
const TEXT: usize = 60 * 1024;
/// The ConfigMap that has it.
const MAP: &str = "text";

/// What the bench prints and writes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// One after the other, the static binary first.
    pub contestants: Vec<Contestant>,
}

/// One function.
#[derive(Clone, Debug, Serialize)]
pub struct Contestant {
    /// What it is.
    pub name: &'static str,
    /// Its median over that of the static binary.
    pub ratio_p50: f64,
    /// Its starts.
    #[serde(flatten)]
    pub starts: FunctionStats,
}

/// Names and specs; the first is what all are compared with.
fn contestants(image: &str) -> Vec<(&'static str, Value)> {
    let from = |runtime: &str, inline: &str| json!({"source": {"runtime": runtime, "inline": inline}});
    let key = json!({"configMapKeyRef": {"name": MAP, "key": MAP}});
    vec![
        ("static", json!({"image": image})),
        ("python", from("python", "def handler(request):\n    return 'hello'\n")),
        ("node", from("node", "exports.handler = () => 'hello';\n")),
        ("key", json!({"image": image, "env": [{"name": "TEXT", "valueFrom": key}]})),
        ("literal", json!({"image": image, "env": [{"name": "TEXT", "value": "x".repeat(TEXT)}]})),
        ("volume", json!({"image": image, "mounts": [{"path": "/text", "configMap": {"name": MAP}}]})),
    ]
}

/// Runs `trials` of each, in turn; `progress` hears of each.
///
/// # Errors
/// When the cluster refuses a step or one takes longer than a minute.
pub async fn run(
    bench: &Bench,
    trials: usize,
    mut progress: impl FnMut(usize, &'static str, Duration),
) -> Result<Report> {
    let contestants = contestants(&bench.image);
    let measure = async {
        let maps: Api<ConfigMap> = Api::namespaced(bench.client.clone(), &bench.namespace);
        let map = json!({"metadata": {"name": MAP}, "data": {MAP: "x".repeat(TEXT)}});
        maps.create(&PostParams::default(), &serde_json::from_value(map)?).await?;
        let mut revisions = BTreeMap::new();
        for (name, spec) in &contestants {
            let mut spec = spec.clone();
            // The bench itself brings it back to zero, so that nothing goes on beside a measurement.
            spec["scaling"] = json!({"windowSeconds": 3600});
            revisions.insert(*name, namespace::function(&bench.client, &bench.namespace, name, spec).await?);
        }
        let mut samples: BTreeMap<&str, Vec<Sample>> = BTreeMap::new();
        // One start of each beforehand: images are unpacked and caches filled.
        for trial in 0..=trials {
            for turn in 0..contestants.len() {
                let (name, _) = contestants[(turn + trial) % contestants.len()];
                let sample = bench.cold_start(name, &revisions[name]).await?;
                if trial > 0 {
                    progress(trial, name, sample.took);
                    samples.entry(name).or_default().push(sample);
                }
            }
        }
        Ok(samples)
    };
    let samples = namespace::during(&bench.client, &bench.namespace, measure).await?;
    let mut all = Vec::new();
    for (name, _) in &contestants {
        all.push((*name, stats(samples.get(name).context("no measurement")?)?));
    }
    let floor = all.first().map_or(f64::NAN, |(_, starts)| starts.stats.p50_ms);
    let contestants = all.into_iter().map(|(name, starts)| {
        let ratio_p50 = (starts.stats.p50_ms / floor * 1000.0).round() / 1000.0;
        Contestant { name, ratio_p50, starts }
    });
    Ok(Report { contestants: contestants.collect() })
}
