//! Which transitions of a status are worth an Event. Pure.

use crds::{ConditionType, FunctionStatus, Reason, condition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::report::of_writing;
use crate::events::Note;

/// Notes about the way from one status to the next.
pub(super) fn of(before: &FunctionStatus, after: &FunctionStatus) -> Vec<Note> {
    let is = |status: &FunctionStatus, kind| condition::is_true(&status.conditions, kind);
    let told = |status: &FunctionStatus, kind| condition::find(&status.conditions, kind).is_some();
    let revision = Some(after.revision.clone()).filter(|name| !name.is_empty());
    let note = |warning, reason: &str, action, text: String| {
        let revision = revision.clone();
        Note { warning, reason: reason.to_owned(), action, text, revision }
    };
    let mut notes = Vec::new();
    if before.revision.is_empty() && !after.revision.is_empty() {
        notes.push(note(false, "Created", "Create", format!("Set up at {}, with no pod running.", after.url)));
    } else if before.revision != after.revision {
        let text = format!("{} takes the traffic from {}.", after.revision, before.revision);
        notes.push(note(false, "RevisionSwitched", "Switch", text));
    }
    if told(before, ConditionType::Active) {
        match (is(before, ConditionType::Active), is(after, ConditionType::Active)) {
            (false, true) => notes.push(note(false, "WokenUp", "Wake", "Pods are started.".to_owned())),
            (true, false) => notes.push(note(false, "ScaledToZero", "Drain", "No pod is wanted any more.".to_owned())),
            _ => {}
        }
    }
    notes.extend(start(before, after).map(|(warning, reason, action, text)| note(warning, reason, action, text)));
    for (kind, action) in [(ConditionType::Stalled, "Stall"), (ConditionType::Degraded, "Scale")] {
        let Some(wrong) = condition::find(&after.conditions, kind) else { continue };
        let same = |c: &&Condition| c.reason == wrong.reason && c.message == wrong.message;
        if condition::find(&before.conditions, kind).filter(same).is_none() {
            notes.push(note(true, &wrong.reason, action, wrong.message.clone()));
        }
    }
    notes
}

fn start(before: &FunctionStatus, after: &FunctionStatus) -> Option<(bool, &'static str, &'static str, String)> {
    const KIND: ConditionType = ConditionType::WorkloadAvailable;
    let (was, is) = (condition::find(&before.conditions, KIND), condition::find(&after.conditions, KIND)?);
    let (failed, reason) = (was.filter(|c| c.status == "False"), Reason::parse(&is.reason)?);
    if is.status == "False" {
        // The reason is the action, so that different failures are not counted as one.
        let news = failed.is_none_or(|c| c.reason != is.reason);
        return news.then(|| (true, "StartFailed", reason.as_str(), is.message.clone()));
    }
    // A failure that is told no more because the spec changed, or because a child could be written, is no success.
    let same = failed.is_some_and(|c| c.observed_generation == is.observed_generation);
    let of_a_start = failed.and_then(|c| Reason::parse(&c.reason)).is_some_and(|reason| !of_writing(reason));
    (same && of_a_start).then(|| (false, "StartSucceeded", "Start", "A pod became ready.".to_owned()))
}
