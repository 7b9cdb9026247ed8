//! What a Trigger says of itself. Written on transitions only.

use crds::{ConditionType, Reason, Trigger, TriggerStatus, condition};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use runtime::client::CallError;

use super::judge::Finding;
use crate::{
    context::Context,
    events::Note,
    status::{self, Written},
};

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

/// Writes a status, and tells of a change as an Event.
pub(super) async fn publish(cx: &Context, trigger: &Trigger, after: TriggerStatus) -> Result<Written, CallError> {
    let written = status::write(cx, trigger, &after, &cx.stores.triggers, &cx.recent.triggers).await?;
    if written == Written::Done {
        news(trigger.status.as_ref(), &after).into_iter().for_each(|note| cx.events.publish(trigger, note));
    }
    Ok(written)
}

/// What is worth an Event: that a Trigger has come into force, is so no longer, or is not for another reason.
fn news(before: Option<&TriggerStatus>, after: &TriggerStatus) -> Option<Note> {
    let ready = |status: &TriggerStatus| condition::find(&status.conditions, ConditionType::Ready).cloned();
    let (was, is) = (before.and_then(ready), ready(after)?);
    let same = was.is_some_and(|was| was.status == is.status && was.reason == is.reason);
    (!same).then(|| Note {
        warning: is.status != "True",
        reason: is.reason,
        action: "Route",
        text: is.message,
        revision: None,
    })
}
