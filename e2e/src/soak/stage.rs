//! What every scenario works with.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Function};
use serde_json::{Value, json};

use super::report::Report;
use crate::{
    audit::{self, Scaling},
    load::{Clock, Journal, Load, Pace, Protocol, Shape},
    rouse::Rouse,
    scene::{APP, PATIENCE, Scene, holds, until},
    steps::{Step, Steps, seconds},
};

/// How many failed requests a report shows in full.
const FAILURES_SHOWN: usize = 200;

pub(super) struct Stage {
    pub(super) scene: Scene,
    pub(super) rouse: Rouse,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) steps: Steps,
    rehearsal: bool,
}

impl Stage {
    pub(super) fn new(scene: Scene, rouse: Rouse, steps: Steps, rehearsal: bool) -> Self {
        let clock = Clock::start();
        Self { scene, rouse, journal: Journal::new(clock), clock, steps, rehearsal }
    }

    /// Begins a step that takes about so many seconds.
    pub(super) fn long(&self, label: impl Into<String>, about_seconds: u64) -> Step {
        let step = self.steps.begin(label);
        step.long(&format!("about {}", seconds(Duration::from_secs(about_seconds))));
        step
    }

    /// How much of something: all of it, or what a rehearsal makes do with.
    pub(super) fn much<T>(&self, whole: T, rehearsed: T) -> T {
        if self.rehearsal { rehearsed } else { whole }
    }

    /// Creates a Function that may use fields which this crate does not know yet, and waits until it is Ready.
    pub(super) async fn function(&self, name: &str, spec: Value) -> Result<Function> {
        let mut whole = json!({"image": APP, "resources": {"memory": "32Mi", "cpu": "10m"}});
        if let (Some(whole), Some(spec)) = (whole.as_object_mut(), spec.as_object()) {
            whole.extend(spec.clone());
        }
        let kind =
            json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": whole});
        let stored = self.scene.create(kind).await?;
        // An API server drops a field that it does not know, and the run would show something else.
        if let Some(field) = lacking(&whole, &stored.data["spec"], "spec") {
            anyhow::bail!("the installed Function has no {field}");
        }
        self.scene.function_when(name, "Ready", |function| holds(function, ConditionType::Ready)).await
    }

    /// Waits until so many of a function's replicas are ready.
    pub(super) async fn serving(&self, function: &str, replicas: usize) -> Result<()> {
        until("the replicas serve", PATIENCE, async || {
            let ready = self.scene.pods(function).await?.iter().filter(|pod| crate::rouse::ready(pod)).count();
            Ok((ready >= replicas).then_some(()))
        })
        .await
    }

    /// The Deployment that serves a function.
    pub(super) async fn revision(&self, function: &str) -> Result<String> {
        let revision = self.scene.api::<Function>().get(function).await?.status.unwrap_or_default().revision;
        ensure!(!revision.is_empty(), "{function} has no revision");
        Ok(revision)
    }

    /// Requests to a function, over both protocols.
    pub(super) fn load(&self, name: &'static str, function: &str, pace: Pace, shapes: Vec<Shape>) -> Load {
        Load {
            name,
            entry: self.scene.entry,
            host: self.scene.host(function),
            protocols: vec![Protocol::Http1, Protocol::Http2],
            pace,
            shapes,
            patience: PATIENCE * 2,
            again: false,
        }
    }

    /// The writes to `/scale` of a Deployment that were done, in the order in which they were stored.
    pub(super) fn scalings(&self, deployment: &str) -> Result<Vec<Scaling>> {
        let mut all = audit::scalings(&self.scene.cluster, &self.scene.namespace)?;
        all.retain(|scaling| scaling.deployment == deployment && scaling.accepted());
        all.sort_by_key(|scaling| scaling.answered);
        Ok(all)
    }

    /// Waits, and says meanwhile how the requests do.
    pub(super) async fn watch(&self, step: &Step, duration: Duration) {
        let end = tokio::time::Instant::now() + duration;
        while tokio::time::Instant::now() < end {
            let (sent, failed) = self.journal.so_far();
            step.at(format!("{sent} requests, {failed} failed"));
            let next = tokio::time::Instant::now() + Duration::from_millis(500);
            tokio::time::sleep_until(next.min(end)).await;
        }
    }

    /// That no request failed, and what all of them come to, by load.
    pub(super) fn no_failures(&self, report: &mut Report) {
        let all = self.journal.counted(|_| true);
        let reasons: Vec<String> = all.failures.iter().take(3).map(|(why, times)| format!("{times} × {why}")).collect();
        let seen = format!("{} of {} {}", all.failed, all.requests, reasons.join("; "));
        report.check("failed requests", "0", seen.trim_end(), all.failed == 0 && all.requests > 0);
        for load in self.journal.seconds().into_keys() {
            let counted = self.journal.counted(|sample| sample.load == load);
            report.figure(format!("{load}: requests"), "requests", counted.requests as f64);
            let whole =
                self.journal.samples(|sample| sample.load == load && !sample.stream && sample.failure.is_none());
            if !whole.is_empty() {
                report.spread(format!("{load}: from due to whole"), "ms", whole.iter().map(|sample| sample.took_ms()));
            }
            report.series(format!("counted {load}"), &counted);
        }
    }

    /// The load over time and the failed requests, which every report has.
    pub(super) fn tell(&self, report: &mut Report) {
        report.series("load", &self.journal.seconds());
        let mut failed = self.journal.samples(|sample| sample.failure.is_some());
        if failed.len() > FAILURES_SHOWN {
            report.leave_out(format!(
                "{} of {} failed requests in detail",
                failed.len() - FAILURES_SHOWN,
                failed.len()
            ));
            failed.truncate(FAILURES_SHOWN);
        }
        report.series("failed", &failed);
    }

    /// The moment of the first write that orders at least so many replicas, after `since`.
    pub(super) fn ordered(&self, deployment: &str, replicas: i64, since: f64) -> Result<f64> {
        let all = self.scalings(deployment)?;
        let orders = all.iter().filter(|scaling| scaling.replicas >= replicas);
        let first = orders.map(|scaling| self.clock.of(scaling.received)).find(|at| *at >= since);
        first.with_context(|| format!("{replicas} replicas of {deployment} were never ordered"))
    }
}

/// The first field of `wanted` that `stored` has not.
fn lacking(wanted: &Value, stored: &Value, path: &str) -> Option<String> {
    match (wanted, stored) {
        (Value::Object(wanted), Value::Object(stored)) => wanted.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            stored.get(name).map_or_else(|| Some(path.clone()), |stored| lacking(value, stored, &path))
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_was_dropped_is_named() {
        let wanted = json!({"scaling": {"metric": "RequestsPerSecond", "target": 20}});
        let stored = json!({"scaling": {"target": 20, "maxReplicas": 100}});
        assert_eq!(lacking(&wanted, &stored, "spec").as_deref(), Some("spec.scaling.metric"));
        assert_eq!(lacking(&stored, &stored, "spec"), None);
    }
}
