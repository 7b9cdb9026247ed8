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
    publish(cx, key, None, reason, text, Some(revision));
}

/// A scale-down waits for so many activators of so many.
pub(super) fn blocked(cx: &Context, key: &Key, missing: usize, of: usize) {
    warn!(function = %key, missing, of, "A scale-down waits for activators that say nothing.");
    let text = match of {
        0 => "Pods that should stop are kept: there is no activator.".to_owned(),
        _ => format!("Pods that should stop are kept: {missing} of {of} activators are not heard."),
    };
    publish(cx, key, Some("ScaleDown"), "ScaleDownBlocked", text, None);
}

/// A pod of a revision keeps the higher CPU limit of its start, because of what `words` say.
pub(super) fn unresized(cx: &Context, key: &Key, revision: &str, words: &str) {
    warn!(function = %key, revision, words, "A pod cannot be given its own CPU limit; the next start goes without a boost.");
    let text = format!(
        "A pod keeps the higher CPU limit of its start, and the next start goes without a boost: its own limit is refused, {words}."
    );
    publish(cx, key, Some("Resize"), "ResizeRefused", text, Some(revision));
}

/// `warning`: it is bad news about this action.
fn publish(cx: &Context, key: &Key, warning: Option<&'static str>, reason: &str, text: String, revision: Option<&str>) {
    let Some(function) = cx.stores.function(key) else { return };
    let (action, revision) = (warning.unwrap_or("Scale"), revision.map(str::to_owned));
    let note = Note { warning: warning.is_some(), reason: reason.to_owned(), action, text, revision };
    cx.events.publish(&*function, note);
}
