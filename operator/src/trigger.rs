//! The reconciler of Triggers. They are judged all together, because whether one is in force depends on the others: when
//! an older one goes, the next gets its route.

mod judge;
mod status;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use crds::{Trigger, TriggerStatus};
use futures::{StreamExt, stream};
use kube::{ResourceExt, runtime::reflector::ObjectRef};
use runtime::client::CallError;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    context::Context,
    function::backoff::Backoff,
    metrics::{Kind, Outcome},
    status::{AGAIN, Written},
};

/// Changes that come within this time are judged together.
const TOGETHER: Duration = Duration::from_millis(50);
/// Longest wait after an error.
const LONGEST: Duration = Duration::from_secs(60);
/// Statuses written at once.
const CONCURRENCY: usize = 8;

/// Judges Triggers for ever, at each change of a Trigger or a Function.
pub async fn run(cx: Arc<Context>) {
    let changes = cx.stores.trigger_changes();
    let backoff = Backoff::default();
    loop {
        let again = match pass(&cx).await {
            Ok(again) => {
                backoff.reset(&());
                again
            }
            Err(error) => {
                let wait = backoff.next((), LONGEST);
                warn!(%error, again_ms = wait.as_millis(), "Judging the Triggers failed and is repeated.");
                Some(wait)
            }
        };
        // A change in between is as good a reason to look again.
        match again {
            Some(wait) => _ = timeout(wait, changes.take()).await,
            None => _ = changes.take().await,
        }
        sleep(TOGETHER).await;
    }
}

/// One pass: judges all Triggers and writes the statuses that are not as judged. Returns how long to wait with those that
/// have to wait for the term.
///
/// # Errors
/// [`CallError`], the last one, if a status could not be written. The other statuses are written all the same.
pub async fn pass(cx: &Context) -> Result<Option<Duration>, CallError> {
    let started = Instant::now();
    let triggers: Vec<_> = cx.stores.triggers.state();
    let triggers: Vec<_> = triggers
        .into_iter()
        .filter_map(|seen| cx.recent.triggers.newest(&ObjectRef::from_obj(&*seen), Some(seen), started))
        .filter(|trigger| trigger.metadata.deletion_timestamp.is_none())
        .collect();
    let functions: HashSet<(String, String)> = cx
        .stores
        .functions
        .state()
        .iter()
        .filter_map(|function| Some((function.metadata.namespace.clone()?, function.metadata.name.clone()?)))
        .collect();
    let findings = judge::all(&triggers, &functions, &cx.settings.domains);
    let writes = triggers.into_iter().filter_map(|trigger| {
        let finding = findings.get(&judge::key(&trigger))?;
        let after = status::changed(&trigger, finding)?;
        Some(tell(cx, trigger, after))
    });
    let outcomes: Vec<_> = stream::iter(writes).buffer_unordered(CONCURRENCY).collect().await;
    let waits = outcomes.iter().any(|outcome| matches!(outcome, Ok(Written::NotNow)));
    let failed = outcomes.into_iter().filter_map(Result::err).last();
    let outcome = match &failed {
        Some(_) => Outcome::Error,
        None if waits => Outcome::Waiting,
        None => Outcome::Done,
    };
    cx.metrics.pass(Kind::Trigger, outcome, started.elapsed());
    failed.map_or(Ok(waits.then_some(AGAIN)), Err)
}

/// Writes one status. Errors are told here by name: the pass ends with one of them.
async fn tell(cx: &Context, trigger: Arc<Trigger>, after: TriggerStatus) -> Result<Written, CallError> {
    let written = status::publish(cx, &trigger, after).await;
    if let Err(error) = &written {
        let (namespace, name) = (trigger.namespace(), trigger.name_any());
        warn!(namespace, trigger = name, %error, "The status of a Trigger could not be written.");
    }
    written
}
