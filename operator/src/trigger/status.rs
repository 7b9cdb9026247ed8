//! What a Trigger says of itself. Written on transitions only.

use std::{sync::Arc, time::Duration};

use crds::{ConditionType, Reason, Trigger, TriggerStatus, condition, names};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
};
use runtime::client::{CallError, within};
use serde_json::json;
use tokio::time::Instant;

use super::judge::Finding;
use crate::{context::Context, metrics::ApiWrite};

const DEADLINE: Duration = Duration::from_secs(5);

/// The status that a Trigger should have, if it is another than it has.
pub(super) fn changed(trigger: &Trigger, finding: &Finding) -> Option<TriggerStatus> {
    let before = trigger.status.clone().unwrap_or_default();
    let generation = trigger.metadata.generation.unwrap_or_default();
    let now = Time(Timestamp::now());
    let mut after = TriggerStatus { observed_generation: generation, ..before.clone() };
    let Finding { reason, message } = finding;
    let mut set =
        |kind, status| condition::set(&mut after.conditions, kind, status, *reason, message.as_str(), generation, &now);
    set(ConditionType::Ready, *reason == Reason::Routed);
    // Somebody has to change a Trigger for it to get on; a Function may still come.
    if matches!(reason, Reason::RouteConflict | Reason::HostReserved) {
        set(ConditionType::Stalled, true);
    } else {
        condition::clear(&mut after.conditions, ConditionType::Stalled);
    }
    (after != before).then_some(after)
}

/// Writes a status. That the Trigger is gone, or was made anew, is no error.
pub(super) async fn write(cx: &Context, trigger: &Arc<Trigger>, after: TriggerStatus) -> Result<(), CallError> {
    if cx.leadership.good_for(DEADLINE).is_none() {
        return Ok(());
    }
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": trigger.metadata.uid},
        {"op": "add", "path": "/status", "value": after},
    ]);
    let Ok(patch) = serde_json::from_value(patch) else { return Ok(()) };
    let api: Api<Trigger> = Api::namespaced(cx.client.clone(), &trigger.namespace().unwrap_or_default());
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    match within(DEADLINE, api.patch_status(&trigger.name_any(), &params, &Patch::Json::<()>(patch))).await {
        Ok(now) => {
            cx.metrics.wrote(ApiWrite::Status);
            cx.recent.triggers.wrote(Arc::new(now), Instant::now());
            Ok(())
        }
        Err(error) if matches!(error.status(), Some(404 | 422)) => Ok(()),
        Err(error) => Err(error),
    }
}
