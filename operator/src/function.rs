//! The reconciler of Functions.

pub mod apply;
pub mod backoff;
pub mod clock;
pub mod controller;
pub mod degraded;
pub mod lazy;
pub mod plan;
pub mod resolve;
pub mod rollout;
pub mod starts;
pub mod status;
pub mod validate;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use crds::{Function, FunctionStatus};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use runtime::client::CallError;
use tokio::time::Instant;
use tracing::info;

use crate::{context::Context, failure::Terms};
use apply::Stop;
use degraded::Degraded;
use rollout::{Rollout, View};
use starts::Starts;
use status::Report;
use validate::Valid;

/// Until what is left of a retired revision is looked at again, if the watch does not tell first.
const AGAIN: Duration = Duration::from_secs(1);

/// How a pass ended that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Everything is as wanted, as far as it can be now. Look again after this time though nothing changes.
    Done(Option<Duration>),
    /// Objects of before are being deleted: look again in a moment, if the watch does not tell first.
    Soon,
    /// The Function waits for its user or for other objects, which may not be watched: look again after a while.
    Blocked,
}

/// A pass that is to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A child could not be read or written.
    #[error(transparent)]
    Apply(Stop),
    /// The status could not be written.
    #[error("the status could not be written: {0}")]
    Status(#[from] CallError),
}

/// One pass over a Function: resolve, validate, plan, apply, status. Level-triggered: it looks at what is there and never
/// asks why it was called. A calm pass asks the API server nothing.
///
/// # Errors
/// [`Error`] when the API server could not be reached or its state had moved on; what it refuses is a condition.
pub async fn reconcile(function: Arc<Function>, cx: &Context) -> Result<Pass, Error> {
    if function.metadata.deletion_timestamp.is_some() {
        return Ok(Pass::Done(None));
    }
    let now = Instant::now();
    let before = function.status.clone().unwrap_or_default();
    let valid = match validate::function(&function, &cx.settings.runtimes) {
        Ok(valid) => valid,
        Err(invalid) => {
            // Nothing takes over, and what is known of starts is looked at again once there is something to compare with.
            let uid = function.metadata.uid.as_deref().unwrap_or_default();
            cx.clock.stop(uid);
            cx.verdicts.replace(uid, Vec::new());
            return tell(cx, &function, &before, Report::Invalid(&invalid), Pass::Done(None)).await;
        }
    };
    let refs = resolve::references(cx, &function, &[&valid.revision, &before.revision], now);
    let starts = starts::look(cx, &valid, &refs, &before.revision, now).await;
    let (rollout, patience) = decide(cx, &valid, &refs, &starts, &before.revision, now);
    starts::publish(cx, &valid, &starts, &rollout, &before.revision);
    note_refused_boost(cx, &valid, &starts);
    let boost = cx.settings.boost.filter(|_| !cx.refusals.concern(&valid.uid, &valid.revision));
    let plan = plan::function(&valid, &cx.settings, boost);
    // Boxed, as children are large and only one pass in many writes any.
    let failure = starts.wanted.failed.as_ref().map(|failed| &failed.failure);
    match Box::pin(apply::plan(cx, &valid, &refs, plan, &rollout, &before.revision, failure)).await {
        Ok((applied, all)) => {
            let wanted = valid.revision.as_str();
            let serving = if applied.revision == wanted { &starts.wanted } else { &starts.serving };
            let (degraded, told) = degraded(cx, &valid);
            let again = [starts.again, patience, told, (!all).then_some(AGAIN)].into_iter().flatten().min();
            let report = Report::Applied { applied: &applied, serving, rollout: &rollout, wanted, degraded: &degraded };
            tell(cx, &function, &before, report, Pass::Done(again)).await
        }
        // The next pass is the new Function's, if there is one; the watch starts it.
        Err(Stop::Gone) => Ok(Pass::Done(None)),
        Err(stop @ (Stop::Taken(_) | Stop::Terminating(_) | Stop::Refused(..))) => {
            let pass = if matches!(stop, Stop::Terminating(_)) { Pass::Soon } else { Pass::Blocked };
            tell(cx, &function, &before, Report::Stopped(&stop), pass).await
        }
        Err(stop @ (Stop::Call(..) | Stop::NotLeading)) => Err(Error::Apply(stop)),
    }
}

/// Pods that are refused for their higher CPU limit at the start are tried without it from the next start on.
fn note_refused_boost(cx: &Context, valid: &Valid, starts: &Starts) {
    let refused = starts.wanted.failed.as_ref().is_some_and(|failed| failed.of_boost);
    if refused && cx.refusals.note(&valid.uid, &valid.revision) {
        let (namespace, revision) = (&valid.namespace, &valid.revision);
        info!(namespace, revision, "Pods are refused with a start-up boost; the next start is tried without.");
    }
}

/// Decides how traffic moves; also how long to wait for it if nothing changes.
fn decide(
    cx: &Context,
    valid: &Valid,
    refs: &resolve::References,
    starts: &Starts,
    serving: &str,
    now: Instant,
) -> (Rollout, Option<Duration>) {
    let patience = Duration::from_secs(valid.function.spec.timeouts.cold_start_seconds.max(1).unsigned_abs().into());
    let most = valid.function.spec.scaling.most();
    let mut view = View {
        wanted: &valid.revision,
        serving,
        serving_replicas: refs.deployment(serving).map(|deployment| apply::replicas(deployment).min(most)),
        serving_ready: starts.serving.ready,
        wanted_ready: starts.wanted.ready,
        wanted_failure: starts.wanted.failed.as_ref().map(|failed| failed.failure.clone()),
        wanted_lacks: starts::lack(refs, &valid.revision, starts.wanted.ready),
        waited: Duration::ZERO,
        patience,
    };
    // The clock runs only while a new revision is being brought up, and has a Deployment.
    let is_there = refs.deployment(&valid.revision).is_some();
    if !is_there || !matches!(rollout::decide(&view), Rollout::Grow { .. }) {
        cx.clock.stop(&valid.uid);
        return (rollout::decide(&view), None);
    }
    view.waited =
        cx.clock.waited(&valid.uid, &valid.revision, Terms::of(&valid.function.spec), starts.wanted.ready, now);
    (rollout::decide(&view), Some(patience.saturating_sub(view.waited).max(Duration::from_millis(100))))
}

/// What is not as it should be; also how long that is to be told if nothing changes.
fn degraded(cx: &Context, valid: &Valid) -> (Vec<Degraded>, Option<Duration>) {
    // The store's own: of what was written a moment ago, nobody looks at the managers.
    let deployments = cx.stores.deployments.of(&valid.key);
    let foreign = cx.foreign.look(valid, &deployments, Timestamp::now());
    let told = foreign.as_ref().map(|(_, left)| *left);
    let schedules = degraded::schedules(&valid.function.spec.scaling.schedules);
    (schedules.into_iter().chain(foreign.map(|(degraded, _)| degraded)).collect(), told)
}

/// Writes the status that follows, if it is another one.
async fn tell(
    cx: &Context,
    function: &Function,
    before: &FunctionStatus,
    report: Report<'_>,
    pass: Pass,
) -> Result<Pass, Error> {
    let (name, namespace) = (function.metadata.name.as_deref(), function.metadata.namespace.as_deref());
    let url = cx.settings.url(name.unwrap_or_default(), namespace.unwrap_or_default());
    let after = status::report(function, before, &report, url, &Time(Timestamp::now()));
    let wait = status::publish(cx, function, before, after, Instant::now()).await?;
    Ok(match (pass, wait) {
        (Pass::Done(again), Some(wait)) => Pass::Done(Some(again.map_or(wait, |again| again.min(wait)))),
        (pass, _) => pass,
    })
}
