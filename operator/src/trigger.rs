//! The reconciler of Triggers. They are judged all together, because whether one is in force depends on the others: when
//! an older one goes, the next gets its route.

mod judge;
mod status;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use kube::runtime::reflector::ObjectRef;
use runtime::client::CallError;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use crate::{
    context::Context,
    function::backoff::Backoff,
    metrics::{Kind, Outcome},
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
    changes.add(());
    loop {
        changes.take().await;
        sleep(TOGETHER).await;
        while let Err(error) = pass(&cx).await {
            let wait = backoff.next((), LONGEST);
            warn!(%error, again_ms = wait.as_millis(), "Judging the Triggers failed and is repeated.");
            // A change in between is as good a reason to try again.
            let _ = timeout(wait, changes.take()).await;
        }
        backoff.reset(&());
    }
}

/// One pass: judges all Triggers and writes the statuses that are not as judged.
///
/// # Errors
/// [`CallError`], the last one, if a status could not be written. The other statuses are written all the same.
pub async fn pass(cx: &Context) -> Result<(), CallError> {
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
    let writes = triggers.iter().filter_map(|trigger| {
        let finding = findings.get(&judge::key(trigger))?;
        let after = status::changed(trigger, finding)?;
        Some(status::write(cx, trigger, after))
    });
    let outcomes: Vec<_> = stream::iter(writes).buffer_unordered(CONCURRENCY).collect().await;
    let failed = outcomes.into_iter().filter_map(Result::err).last();
    let outcome = if failed.is_some() { Outcome::Error } else { Outcome::Done };
    cx.metrics.pass(Kind::Trigger, outcome, started.elapsed());
    failed.map_or(Ok(()), Err)
}
