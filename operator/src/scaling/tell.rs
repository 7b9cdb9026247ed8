//! What a user reads of scaling in `kubectl describe`.

use scale::Sizing;
use tracing::warn;

use super::Context;
use crate::{events::Note, stores::Key};

/// A revision was brought to so many replicas because of its load: from what, and why.
pub(super) fn sized(cx: &Context, key: &Key, revision: &str, replicas: i32, sizing: &Sizing) {
    let up = replicas > sizing.inputs.replicas;
    let reason = if up { "ScaledUp" } else { "ScaledDown" };
    let rule = sizing.rule.name();
    let text = format!("From {} to {replicas} replicas by the rule {rule}: {}.", sizing.inputs.replicas, sizing.inputs);
    publish(cx, key, false, reason, text, Some(revision));
}

/// A scale-down waits for so many activators of so many.
pub(super) fn blocked(cx: &Context, key: &Key, missing: usize, of: usize) {
    warn!(function = %key, missing, of, "A scale-down waits for activators that say nothing.");
    let text = match of {
        0 => "Pods that should stop are kept: there is no activator.".to_owned(),
        _ => format!("Pods that should stop are kept: {missing} of {of} activators are not heard."),
    };
    publish(cx, key, true, "ScaleDownBlocked", text, None);
}

fn publish(cx: &Context, key: &Key, warning: bool, reason: &str, text: String, revision: Option<&str>) {
    let Some(function) = cx.stores.function(key) else { return };
    let action = if warning { "ScaleDown" } else { "Scale" };
    let revision = revision.map(str::to_owned);
    cx.events.publish(&*function, Note { warning, reason: reason.to_owned(), action, text, revision });
}
