//! What a Function says of itself. Written on transitions only.

mod events;
mod live;
mod report;

use std::time::Duration;

use crds::{ConditionType, Function, FunctionStatus, condition};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use runtime::client::CallError;
use tokio::time::Instant;

use crate::{
    context::Context,
    status::{self, Written},
};

pub use report::{After, Report, report};

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
    after: After,
    now: Instant,
) -> Result<Option<Duration>, CallError> {
    let after = match after {
        After::Whole(after) => after,
        After::Stuck(after) => {
            let live = live::look(cx, function, &after.revision, now);
            report::scaled(function, after, live, &Time(Timestamp::now()))
        }
    };
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
    match status::write(cx, function, &after, &cx.stores.functions, &cx.recent.functions).await? {
        Written::Done => events::of(before, &after).into_iter().for_each(|note| cx.events.publish(function, note)),
        Written::NotNow => return Ok(Some(status::AGAIN)),
        Written::Gone => {}
    }
    Ok(None)
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
