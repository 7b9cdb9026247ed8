//! What a Function says of itself. Written on transitions only.

mod events;
mod report;

use std::{sync::Arc, time::Duration};

use crds::{ConditionType, Function, FunctionStatus, condition, names};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tokio::time::Instant;

use super::apply::DEADLINE;
use crate::{context::Context, metrics::ApiWrite};

pub use report::{Report, report};

/// Waking and going idle are told this late: a status write must not compete with the cold start that it tells of, and a
/// function that wakes and sleeps all the time need not say so each time.
pub const LAZY: Duration = Duration::from_secs(1);

/// Writes the status if it differs from `before`, and tells Events of the transition. Returns how long to wait with a
/// difference that is not urgent.
///
/// # Errors
/// [`CallError`] when the API server does not take it. That the object is gone is no error.
pub async fn publish(
    cx: &Context,
    function: &Function,
    before: &FunctionStatus,
    after: FunctionStatus,
    now: Instant,
) -> Result<Option<Duration>, CallError> {
    let uid = function.metadata.uid.as_deref().unwrap_or_default();
    if *before == after {
        cx.lazy.forget(uid);
        return Ok(None);
    }
    if essence(before) == essence(&after)
        && let Some(wait) = cx.lazy.left(uid, now)
    {
        return Ok(Some(wait));
    }
    cx.lazy.forget(uid);
    if cx.leadership.good_for(DEADLINE).is_none() {
        // The term may go on all the same, and nobody else would look again.
        return Ok(Some(LAZY));
    }
    let (name, namespace) = (function.name_any(), function.namespace().unwrap_or_default());
    let api: Api<Function> = Api::namespaced(cx.client.clone(), &namespace);
    // Replaces the whole status, so that what is left out is gone; not on a Function that was made anew meanwhile.
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": uid},
        {"op": "add", "path": "/status", "value": after},
    ]);
    let Ok(patch) = serde_json::from_value(patch) else { return Ok(None) };
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    match within(DEADLINE, api.patch_status(&name, &params, &Patch::Json::<()>(patch))).await {
        Ok(now_there) => {
            cx.metrics.wrote(ApiWrite::Status);
            cx.recent.functions.wrote(Arc::new(now_there), now);
            for note in events::of(before, &after) {
                cx.events.publish(function, note);
            }
            Ok(None)
        }
        // Gone, or another object of that name: the watch will say so.
        Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is told at once: all but how many replicas are wanted right now, and the words that follow from it.
fn essence(status: &FunctionStatus) -> FunctionStatus {
    let mut essence = status.clone();
    essence.replicas = 0;
    condition::clear(&mut essence.conditions, ConditionType::Active);
    for condition in &mut essence.conditions {
        if condition.type_ == ConditionType::Ready.as_str() && condition.status == "True" {
            condition.reason.clear();
            condition.message.clear();
        }
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    essence
}

#[cfg(test)]
mod tests;
