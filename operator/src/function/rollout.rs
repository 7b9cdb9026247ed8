//! How traffic moves from the serving revision to the wanted one. Pure.

use std::time::Duration;

use crds::Reason;
use runtime::failure::Failure;

/// What is known of both revisions.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The revision that the spec asks for.
    pub wanted: &'a str,
    /// The revision that serves, by the Function's status; empty before the first.
    pub serving: &'a str,
    /// Replicas wanted of the serving revision, and no more than there may be; `None` = it has no Deployment.
    pub serving_replicas: Option<i32>,
    /// How many of its pods every activator has proved ready; `None` = not known now.
    pub serving_ready: Option<usize>,
    /// How many pods of the wanted revision every activator has proved ready; `None` = not known now.
    pub wanted_ready: Option<usize>,
    /// Why the wanted revision does not start, if it does not.
    pub wanted_failure: Option<Failure>,
    /// Why the wanted revision has not all its pods, if some find no node or are refused.
    pub wanted_lacks: Option<Failure>,
    /// How long the wanted revision has been starting without another of its pods becoming ready.
    pub waited: Duration,
    /// How long it may.
    pub patience: Duration,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// The wanted revision serves, or is the first.
    Steady,
    /// It serves from now on.
    Switch,
    /// It is brought to the load of the serving one: to so many replicas.
    Grow {
        /// Replicas.
        replicas: i32,
    },
    /// It does not start. The old one serves on.
    Failed(Failure),
}

impl Rollout {
    /// Replicas with which the wanted revision's Deployment is created, if there is none: a function that never ran is
    /// created at 0, and so is everything that is to take over at zero.
    pub fn replicas(&self) -> i32 {
        match self {
            Self::Grow { replicas } => *replicas,
            Self::Steady | Self::Switch | Self::Failed(_) => 0,
        }
    }
}

/// Decides.
///
/// At zero, or where nothing is to run, the switch is immediate and starts nothing, except to a revision that is known to be
/// broken; one that merely found no room beside the old one, or not enough, gets its turn then. Above zero the wanted
/// revision must first have as many ready pods as the serving one, by every activator's own probe. While that is not known,
/// nothing moves.
pub fn decide(view: &View<'_>) -> Rollout {
    if view.serving.is_empty() || view.serving == view.wanted {
        return Rollout::Steady;
    }
    // Nothing is there that could serve on.
    let Some(load) = view.serving_replicas else { return Rollout::Switch };
    if let Some(failure) = &view.wanted_failure {
        let found_no_room = matches!(failure.reason, Reason::Unschedulable | Reason::PodsRefused);
        return if load == 0 && found_no_room { Rollout::Switch } else { Rollout::Failed(failure.clone()) };
    }
    if load <= 0 {
        return Rollout::Switch;
    }
    // Never less than one: an activator that has just started has probed nobody yet.
    let need = view.serving_ready.unwrap_or(usize::MAX).clamp(1, usize::try_from(load).unwrap_or(1));
    match view.wanted_ready {
        Some(ready) if ready >= need => Rollout::Switch,
        _ if view.waited >= view.patience => Rollout::Failed(view.wanted_lacks.clone().unwrap_or_else(|| {
            let words = format!("it did not become ready within {} s", view.patience.as_secs());
            Failure::new(Reason::RevisionFailed, words)
        })),
        _ => Rollout::Grow { replicas: load },
    }
}

#[cfg(test)]
mod tests;
