//! What the cluster did meanwhile: replicas and pods by watch, what activators have in flight and hold by their metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ::kube::ResourceExt;
use anyhow::Result;
use crds::labels;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde::Serialize;
use tokio::task::JoinHandle;

use super::report::Report;
use crate::{install, load::Clock, metrics, record::Record, rouse::Rouse, scene::Scene};

/// Everything of a namespace, from its start on.
#[derive(Debug)]
pub(super) struct Observed {
    clock: Clock,
    deployments: Record<Deployment>,
    pods: Record<Pod>,
    levels: Arc<Mutex<Vec<Level>>>,
    reader: JoinHandle<()>,
}

/// A Deployment after a change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Replicas {
    at: f64,
    function: String,
    deployment: String,
    /// `spec.replicas`; none once the Deployment is gone.
    wanted: i32,
    ready: i32,
}

impl Replicas {
    /// When.
    pub(super) fn at(&self) -> f64 {
        self.at
    }

    /// Whether it brought a function to zero, after a moment.
    pub(super) fn is_zero_of(&self, function: &str, after: f64) -> bool {
        self.function == function && self.at > after && self.wanted == 0
    }
}

/// Something that happened to a pod.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Step {
    at: f64,
    pod: String,
    what: &'static str,
}

/// What an activator said of its functions.
#[derive(Clone, Debug, Serialize)]
struct Level {
    at: f64,
    activator: String,
    levels: BTreeMap<String, f64>,
}

impl Observed {
    pub(super) async fn start(scene: &Scene, rouse: &Rouse, clock: Clock) -> Result<Self> {
        let levels = Arc::default();
        let reader = tokio::spawn(read(rouse.clone(), scene.namespace.clone(), clock, Arc::clone(&levels)));
        let deployments = Record::start(scene.api(), labels::FUNCTION).await?;
        let pods = Record::start(scene.api(), "").await?;
        Ok(Self { clock, deployments, pods, levels, reader })
    }

    /// Each change of a Deployment's replicas.
    pub(super) fn replicas(&self) -> Vec<Replicas> {
        let mut all: Vec<Replicas> = Vec::new();
        self.deployments.each(|seen| {
            let spec = seen.object.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
            let ready = seen.object.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
            let now = Replicas {
                at: self.clock.seconds(seen.at),
                function: seen.object.labels().get(labels::FUNCTION).cloned().unwrap_or_default(),
                deployment: seen.object.name_any(),
                wanted: if seen.gone { 0 } else { spec },
                ready: if seen.gone { 0 } else { ready },
            };
            let before = all.iter().rev().find(|other| other.deployment == now.deployment);
            if before.is_none_or(|before| (before.wanted, before.ready) != (now.wanted, now.ready)) {
                all.push(now);
            }
        });
        all
    }

    /// Fewest and most replicas that were wanted for a function between two moments, all its revisions together.
    pub(super) fn between(&self, function: &str, from: f64, to: f64) -> (i32, i32) {
        between(&self.replicas(), function, from, to)
    }

    /// The pods of a function that there ever were.
    pub(super) fn pods(&self, function: &str) -> BTreeSet<String> {
        let mut pods = BTreeSet::new();
        self.pods.each(|seen| {
            if seen.object.labels().get(labels::FUNCTION).is_some_and(|of| of == function) {
                pods.insert(seen.object.name_any());
            }
        });
        pods
    }

    /// Adds all of it to the report.
    pub(super) fn tell(&self, report: &mut Report) {
        report.series("replicas", &self.replicas());
        report.series("pods", &self.steps());
        report.series("activators", &*self.levels.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn steps(&self) -> Vec<Step> {
        let (mut steps, mut known) = (Vec::new(), BTreeSet::new());
        self.pods.each(|seen| {
            let conditions = seen.object.status.iter().flat_map(|status| status.conditions.iter().flatten());
            let happened = [
                ("created", true),
                ("ready", conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")),
                ("deleted", seen.object.metadata.deletion_timestamp.is_some()),
                ("gone", seen.gone),
            ];
            for (what, _) in happened.into_iter().filter(|(_, happened)| *happened) {
                let pod = seen.object.name_any();
                if known.insert((pod.clone(), what)) {
                    steps.push(Step { at: self.clock.seconds(seen.at), pod, what });
                }
            }
        });
        steps
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

fn between(changes: &[Replicas], function: &str, from: f64, to: f64) -> (i32, i32) {
    let mut wanted: BTreeMap<&str, i32> = BTreeMap::new();
    let (mut before, mut seen) = (0, Vec::new());
    for change in changes.iter().filter(|change| change.function == function && change.at <= to) {
        wanted.insert(&change.deployment, change.wanted);
        let now = wanted.values().sum();
        if change.at <= from {
            before = now;
        } else {
            seen.push(now);
        }
    }
    seen.push(before);
    (seen.iter().min().copied().unwrap_or(0), seen.iter().max().copied().unwrap_or(0))
}

/// Once a second, whoever serves then.
async fn read(rouse: Rouse, namespace: String, clock: Clock, levels: Arc<Mutex<Vec<Level>>>) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        for pod in rouse.pods(install::ACTIVATOR).await.into_iter().flatten() {
            // One that starts or ends says nothing.
            let Ok(read) = metrics::of(&pod).await else { continue };
            let here = read.into_iter().filter(|metric| metric.is_level_of(&namespace));
            let here = here.map(|metric| (metric.short(), metric.value)).collect();
            let level = Level { at: clock.now(), activator: pod.name_any(), levels: here };
            levels.lock().unwrap_or_else(PoisonError::into_inner).push(level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(at: f64, deployment: &str, wanted: i32) -> Replicas {
        Replicas { at, function: "f".to_owned(), deployment: deployment.to_owned(), wanted, ready: 0 }
    }

    #[test]
    fn revisions_count_together_and_the_level_before_counts() {
        let changes = [change(1.0, "f-1", 5), change(2.0, "f-2", 3), change(3.0, "f-1", 0), change(9.0, "f-2", 40)];
        assert_eq!(between(&changes, "f", 1.5, 4.0), (3, 8));
        assert_eq!(between(&changes, "f", 3.5, 4.0), (3, 3));
        assert_eq!(between(&changes, "f", 0.0, 0.5), (0, 0));
        assert_eq!(between(&changes, "g", 0.0, 9.0), (0, 0));
    }
}
