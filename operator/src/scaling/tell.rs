//! What a user reads of scaling in `kubectl describe`.

use crds::labels;
use tracing::warn;

use super::{Context, decision::Because};
use crate::{events::Note, stores::Key};

/// A revision was brought to so many replicas: from what, and why.
pub(super) fn sized(cx: &Context, key: &Key, revision: &str, replicas: i32, because: &Because) {
    let (from, why) = match because {
        Because::Load(sizing) => {
            (sizing.inputs.replicas, format!("by the rule {}: {}", sizing.rule.name(), sizing.inputs))
        }
        Because::Spec { from } => (*from, "as the spec says".to_owned()),
    };
    let reason = if replicas > from { "ScaledUp" } else { "ScaledDown" };
    publish(cx, key, None, reason, format!("From {from} to {replicas} replicas {why}."), Some(revision));
}

/// A scale-down waits because so many pods of so many are Ready.
pub(super) fn unready(cx: &Context, key: &Key, ready: usize, of: i32) {
    let text =
        format!("Fewer replicas would do, but only {ready} of {of} pods are ready: none is stopped before all are.");
    publish(cx, key, Some("ScaleDown"), "ScaleDownBlocked", text, None);
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

/// Pods that should stop are given back, because they cannot be named to Kubernetes, as `words` say.
pub(super) fn unnamed(cx: &Context, key: &Key, words: &str) {
    warn!(function = %key, words, "A scale-down waits: the pods that should stop cannot be named to Kubernetes.");
    let text = format!(
        "Pods that should stop serve on, and that is tried again ever more rarely: their annotation {} cannot be written, {words}.",
        labels::POD_DELETION_COST
    );
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
