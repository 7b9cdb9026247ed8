//! The status that follows from a pass. Pure.

use crds::{ConditionType, Function, FunctionStatus, Reason, condition, function::Mode, labels};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::function::{
    apply::{Applied, Stop},
    degraded::Degraded,
    rollout::Rollout,
    starts::Started,
    status::live::Live,
    validate::Invalid,
};

/// Of starts that are well.
const STARTS: &str = "No start has failed since the last one that succeeded.";

/// How a pass ended.
#[derive(Debug)]
pub enum Report<'a> {
    /// The spec breaks a rule.
    Invalid(&'a Invalid),
    /// A child could not be brought to the plan.
    Stopped(&'a Stop),
    /// All children are as planned.
    Applied {
        /// What serves.
        applied: &'a Applied,
        /// How its start went.
        serving: &'a Started,
        /// How the wanted revision comes along.
        rollout: &'a Rollout,
        /// The wanted revision.
        wanted: &'a str,
        /// What is not as it should be although requests are served.
        degraded: &'a [Degraded],
    },
}

/// The status after a pass.
#[derive(Clone, Debug)]
pub enum After {
    /// All of it.
    Whole(FunctionStatus),
    /// The spec cannot be carried out, and so the pass has not looked at how the revision that serves is scaled. What was
    /// said of that is to be brought up to date with [`scaled`].
    Stuck(FunctionStatus),
}

/// The status after a pass. `url`: the function's address outside the cluster.
pub fn report(function: &Function, before: &FunctionStatus, report: &Report<'_>, url: String, now: &Time) -> After {
    let generation = function.metadata.generation.unwrap_or_default();
    let mut out =
        Writer { status: FunctionStatus { observed_generation: generation, ..before.clone() }, generation, now };
    match report {
        Report::Invalid(invalid) => out.invalid(invalid),
        Report::Stopped(stop) => out.stopped(stop),
        Report::Applied { applied, serving, rollout, wanted, degraded } => {
            out.status.url = url;
            out.applied(function, before, applied, serving, rollout, wanted);
            out.degraded(degraded);
        }
    }
    let is_whole = matches!(report, Report::Applied { .. }) || out.status.revision.is_empty();
    if is_whole { After::Whole(out.status) } else { After::Stuck(out.status) }
}

/// The status with how its revision is scaled. What it says of that keeps the generation that it had: whoever waits for a
/// later one to be ready is not told that it is.
pub(super) fn scaled(function: &Function, status: FunctionStatus, live: Live, now: &Time) -> FunctionStatus {
    let told = |kind| condition::find(&status.conditions, kind);
    let generation =
        told(ConditionType::Ready).and_then(|c| c.observed_generation).unwrap_or(status.observed_generation);
    let failed = told(ConditionType::WorkloadAvailable).filter(|c| c.status == "False" && !live.ready);
    let failure = failed.and_then(|c| Some((Reason::parse(&c.reason)?, c.message.clone())));
    let mut out = Writer { status, generation, now };
    if failure.is_none() {
        out.set(ConditionType::WorkloadAvailable, true, Reason::Ready, STARTS);
    }
    out.scale(function, live, failure);
    out.status
}

struct Writer<'a> {
    status: FunctionStatus,
    generation: i64,
    now: &'a Time,
}

impl Writer<'_> {
    fn set(&mut self, kind: ConditionType, status: bool, reason: Reason, message: impl Into<String>) {
        condition::set(&mut self.status.conditions, kind, status, reason, message, self.generation, self.now);
    }

    fn clear(&mut self, kind: ConditionType) {
        condition::clear(&mut self.status.conditions, kind);
    }

    /// A revision that serves on is ready, or not, by how it is scaled.
    fn not_ready(&mut self, reason: Reason, message: &str) {
        if self.status.revision.is_empty() {
            self.set(ConditionType::Ready, false, reason, message);
        }
    }

    fn invalid(&mut self, invalid: &Invalid) {
        self.set(ConditionType::SourceValid, false, Reason::InvalidSpec, invalid.0.as_str());
        self.not_ready(Reason::InvalidSpec, &invalid.0);
        self.clear(ConditionType::Reconciling);
        self.set(ConditionType::Stalled, true, Reason::InvalidSpec, invalid.0.as_str());
    }

    fn stopped(&mut self, stop: &Stop) {
        let message = stop.to_string();
        let (reason, stalled) = match stop {
            Stop::Taken(_) => (Reason::NameTaken, true),
            Stop::Refused(..) => (Reason::ApiRefused, true),
            Stop::Terminating(_) => (Reason::Terminating, false),
            Stop::Call(..) | Stop::Gone | Stop::NotLeading => (Reason::Applying, false),
        };
        self.set(ConditionType::SourceValid, true, Reason::Valid, "The spec passed every check.");
        let of_service = stop.child().is_some_and(|child| child.kind == "Service");
        if of_service {
            self.set(ConditionType::Addressable, false, reason, message.as_str());
            self.set(ConditionType::Ready, false, reason, message.as_str());
        } else {
            if self.status.revision.is_empty() {
                self.set(ConditionType::WorkloadAvailable, false, reason, message.as_str());
            }
            self.not_ready(reason, &message);
        }
        let (there, absent) = if stalled {
            (ConditionType::Stalled, ConditionType::Reconciling)
        } else {
            (ConditionType::Reconciling, ConditionType::Stalled)
        };
        self.clear(absent);
        self.set(there, true, reason, message);
    }

    fn applied(
        &mut self,
        function: &Function,
        before: &FunctionStatus,
        applied: &Applied,
        serving: &Started,
        rollout: &Rollout,
        wanted: &str,
    ) {
        let (name, namespace) = (function.name_any(), function.namespace().unwrap_or_default());
        self.status.revision.clone_from(&applied.revision);
        self.status.selector = labels::pods_of(&name, &applied.revision);
        self.set(ConditionType::SourceValid, true, Reason::Valid, "The spec passed every check.");
        let address = format!("http://{name}.{namespace} leads to the activator.");
        self.set(ConditionType::Addressable, true, Reason::ServiceReady, address);
        let failure = self.start(before, applied, serving);
        self.scale(function, Live { replicas: applied.replicas, ready: serving.ready.unwrap_or(0) > 0 }, failure);
        self.rollout(before, applied, rollout, wanted);
    }

    /// How the revision that serves is scaled, and what becomes of the next request. `failure`: of its last start.
    fn scale(&mut self, function: &Function, live: Live, failure: Option<(Reason, String)>) {
        self.status.replicas = live.replicas;
        match (live.replicas > 0, live.ready) {
            (true, true) => self.set(ConditionType::Active, true, Reason::Running, "Pods run."),
            (true, false) => self.set(ConditionType::Active, true, Reason::Starting, "The first pod starts."),
            (false, _) => self.set(ConditionType::Active, false, Reason::ScaledToZero, "No pod is wanted."),
        }
        // Without an address there is no next request.
        if condition::find(&self.status.conditions, ConditionType::Addressable).is_some_and(|c| c.status == "False") {
            return;
        }
        let (name, scaling) = (function.name_any(), &function.spec.scaling);
        match failure {
            _ if scaling.mode == Mode::Paused => {
                let text = "spec.scaling.mode is Paused: requests are refused.";
                self.set(ConditionType::Ready, false, Reason::Paused, text);
            }
            _ if scaling.fixed() == Some(0) => {
                let text = format!(
                    "spec.scaling.replicas is 0 in mode Manual: requests are refused until kubectl scale function/{name} \
                     --replicas=1, or mode Auto."
                );
                self.set(ConditionType::Ready, false, Reason::ScaledToZeroByHand, text);
            }
            Some((reason, message)) => self.set(ConditionType::Ready, false, reason, message),
            None if live.replicas == 0 && scaling.mode == Mode::Manual => {
                self.set(ConditionType::Ready, true, Reason::Starting, "Requests wait for the first pod.");
            }
            None if live.replicas == 0 => {
                self.set(ConditionType::Ready, true, Reason::ScaledToZero, "The next request starts a pod.");
            }
            None => self.set(ConditionType::Ready, true, Reason::Ready, "Requests are served."),
        }
    }

    /// All of it in one condition, under the first reason.
    fn degraded(&mut self, degraded: &[Degraded]) {
        let Some(first) = degraded.first() else { return self.clear(ConditionType::Degraded) };
        let texts: Vec<&str> = degraded.iter().map(|one| one.message.as_str()).collect();
        self.set(ConditionType::Degraded, true, first.reason, texts.join(" "));
    }

    /// The two conditions that are there only while true. A condition that stays is never taken out and put in again:
    /// that would make it younger with each pass.
    fn rollout(&mut self, before: &FunctionStatus, applied: &Applied, rollout: &Rollout, wanted: &str) {
        if !matches!(rollout, Rollout::Grow { .. }) {
            self.clear(ConditionType::Reconciling);
        }
        if !matches!(rollout, Rollout::Failed(_)) {
            self.clear(ConditionType::Stalled);
        }
        match rollout {
            Rollout::Steady | Rollout::Switch => {}
            Rollout::Grow { .. } => {
                let text = format!(
                    "Revision {wanted} is brought to the load of {} before it takes the traffic.",
                    applied.revision
                );
                self.set(ConditionType::Reconciling, true, Reason::RollingOut, text);
            }
            Rollout::Failed(failure) => {
                let text = match failure.reason {
                    Reason::RevisionFailed => failure.whole(),
                    reason => format!("{reason}: {}", failure.whole()),
                };
                let kept = kept(before, ConditionType::Stalled, Reason::RevisionFailed, self.generation);
                let text =
                    kept.unwrap_or(format!("Revision {wanted} failed and {} serves on: {text}", applied.revision));
                self.set(ConditionType::Stalled, true, Reason::RevisionFailed, text);
            }
        }
    }

    /// A start that failed is told until one succeeds, or the spec changes: by the time somebody looks, its pods are gone.
    fn start(&mut self, before: &FunctionStatus, applied: &Applied, serving: &Started) -> Option<(Reason, String)> {
        const KIND: ConditionType = ConditionType::WorkloadAvailable;
        let told = condition::find(&before.conditions, KIND).filter(|c| {
            let same = before.revision == applied.revision && c.observed_generation == Some(self.generation);
            same && c.status == "False"
        });
        let told = told.and_then(|c| Some((Reason::parse(&c.reason)?, c.message.clone())));
        let started = serving.ready.unwrap_or(0) > 0;
        let failure = match &serving.failed {
            // Kubernetes words one failure in several ways by turns; the first words stand.
            Some(failed) => match told {
                Some((reason, words)) if reason == failed.failure.reason => Some((reason, words)),
                _ => Some((failed.failure.reason, failed.failure.whole())),
            },
            // What was told of a child that could not be written is over: they all are as planned.
            None => told.filter(|(reason, _)| !started && !of_writing(*reason)),
        };
        match &failure {
            Some((reason, message)) => self.set(KIND, false, *reason, message.as_str()),
            None => self.set(KIND, true, Reason::Ready, STARTS),
        }
        failure
    }
}

/// Reasons of a child that could not be written, not of a start.
pub(super) fn of_writing(reason: Reason) -> bool {
    matches!(reason, Reason::ApiRefused | Reason::NameTaken | Reason::Terminating | Reason::Applying)
}

fn kept(before: &FunctionStatus, kind: ConditionType, reason: Reason, generation: i64) -> Option<String> {
    let told = condition::find(&before.conditions, kind)?;
    (told.reason == reason.as_str() && told.observed_generation == Some(generation)).then(|| told.message.clone())
}
