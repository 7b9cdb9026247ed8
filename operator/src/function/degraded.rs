//! What was asked for and is not done although requests are served, and who undoes what is done.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crds::{Reason, function::Schedule, labels};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use super::validate::Valid;
use crate::{scaling::schedule::Windows, stores::foreign_scaler};

/// For how long a foreign write of replicas is told of. The next write of ours may wipe its trace within a second; an HPA
/// writes again within minutes.
pub const TOLD: Duration = Duration::from_secs(600);

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Degraded {
    /// Why.
    pub reason: Reason,
    /// What, and what to do.
    pub message: String,
}

/// Schedules that cannot be followed. Pure.
pub fn schedules(schedules: &[Schedule]) -> Option<Degraded> {
    let (_, wrong) = Windows::read(schedules);
    let texts: Vec<String> =
        wrong.iter().map(|(at, wrong)| format!("spec.scaling.schedules[{at}] is left out: {wrong}.")).collect();
    (!texts.is_empty()).then(|| Degraded { reason: Reason::InvalidSchedule, message: texts.join(" ") })
}

/// A write of a Deployment's replicas by somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Write {
    deployment: String,
    manager: String,
    /// What was written, by which a further write is told from this one.
    replicas: Option<i32>,
    /// When it was, if Kubernetes notes that; else when it was first seen.
    at: Timestamp,
    /// Whether Kubernetes notes it.
    timed: bool,
}

impl Write {
    /// The one that a Deployment shows, which may have been seen `before`.
    fn shown(deployment: &Deployment, before: &[Self], now: Timestamp) -> Option<Self> {
        let (manager, at) = foreign_scaler(deployment)?;
        let (name, replicas) = (deployment.name_any(), deployment.spec.as_ref().and_then(|spec| spec.replicas));
        let same = |one: &&Self| one.deployment == name && one.manager == manager && one.replicas == replicas;
        let seen = || before.iter().find(same).map_or(now, |one| one.at);
        let manager = manager.to_owned();
        Some(Self { at: at.unwrap_or_else(seen), timed: at.is_some(), deployment: name, manager, replicas })
    }
}

/// Per Function (UID): the last foreign write of replicas that was seen, while it is told of, and those that are shown
/// without a time, so that they are not taken for new. A process that has just started takes them for new once.
#[derive(Debug, Default)]
pub struct Foreign {
    seen: Mutex<HashMap<String, Vec<Write>>>,
}

impl Foreign {
    /// Takes in what the Deployments of a Function show; gives what is to be told, and for how long still. `deployments`:
    /// as the store keeps them.
    pub fn look(&self, valid: &Valid, deployments: &[Arc<Deployment>], now: Timestamp) -> Option<(Degraded, Duration)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let before = seen.remove(&valid.uid).unwrap_or_default();
        let ours = deployments.iter().filter(|d| d.labels().get(labels::FUNCTION_UID) == Some(&valid.uid));
        let shown: Vec<Write> = ours.filter_map(|deployment| Write::shown(deployment, &before, now)).collect();
        let newest = shown.iter().chain(&before).max_by_key(|write| write.at)?;
        // A write from the future is one from now: clocks are compared, not trusted.
        let age = Duration::try_from(now.duration_since(newest.at)).unwrap_or_default();
        let left = TOLD.checked_sub(age).filter(|left| !left.is_zero());
        let mut kept: Vec<Write> = shown.iter().filter(|write| !write.timed).cloned().collect();
        if left.is_some() && !kept.contains(newest) {
            kept.push(newest.clone());
        }
        if !kept.is_empty() {
            seen.insert(valid.uid.clone(), kept);
        }
        left.map(|left| (Degraded { reason: Reason::ForeignScaler, message: message(&valid.name, newest) }, left))
    }

    /// It is gone.
    pub fn forget(&self, function_uid: &str) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(function_uid);
    }
}

fn message(function: &str, write: &Write) -> String {
    let Write { deployment, manager, .. } = write;
    // Nothing else of Kubernetes' own controllers writes the replicas of a Deployment.
    let who = match manager.as_str() {
        "kube-controller-manager" => "A HorizontalPodAutoscaler (kube-controller-manager)",
        other => other,
    };
    format!(
        "{who} writes the replicas of Deployment {deployment}, which are Rouse's to set: the two undo each other's work. \
         Let it scale Function {function} instead, with spec.scaling.mode: Manual."
    )
}

#[cfg(test)]
mod tests;
