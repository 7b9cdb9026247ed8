//! Runs passes over Functions: when something of one changed, when a pass asked for another, and after errors with
//! back-off. One pass of a Function at a time, a bounded number of Functions at once.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use crds::Function;
use futures::{Stream, StreamExt, stream};
use kube::{
    ResourceExt,
    runtime::{
        applier,
        controller::{Action, Config},
    },
};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::{Error, Pass, apply::Stop, reconcile};
use crate::{
    context::Context,
    metrics::{Kind, Outcome},
    stores::{Key, Queue},
};

/// Functions reconciled at once.
const CONCURRENCY: u16 = 16;
/// Longest wait for objects that are being deleted.
const SOON: Duration = Duration::from_secs(1);
/// Longest wait for something that no watch tells of.
const BLOCKED: Duration = Duration::from_secs(30);
/// Longest wait after an error.
const ERROR: Duration = Duration::from_secs(60);

/// Reconciles Functions for ever, all of them first. `queues`: Functions to look at, from whoever knows.
pub async fn run(cx: Arc<Context>, queues: Vec<Arc<Queue<Key>>>) {
    for function in cx.stores.functions.state() {
        if let Some(queue) = queues.first() {
            queue.add(Key::from_obj(&*function));
        }
    }
    let told = Arc::clone(&cx);
    let mut uids = HashMap::new();
    let keys = stream::select_all(queues.into_iter().map(|queue| Box::pin(keys(queue)))).map(move |key| {
        track(&told, &mut uids, &key);
        Ok::<_, Infallible>(key)
    });
    let store = cx.stores.functions.clone();
    let config = Config::default().concurrency(CONCURRENCY);
    let pass = |function: Arc<Function>, cx: Arc<Context>| Box::pin(async move { Ok(pass(function, &cx).await) });
    let never = |_: Arc<Function>, error: &Infallible, _: Arc<Context>| match *error {};
    applier(pass, never, cx, store, keys, config)
        .for_each(|result| async move {
            if let Err(error) = result {
                // A Function that was deleted before its turn came.
                debug!(%error, "No pass over this object.");
            }
        })
        .await;
}

fn keys(queue: Arc<Queue<Key>>) -> impl Stream<Item = Key> {
    stream::unfold(queue, |queue| async move { Some((queue.take().await, queue)) }).flat_map(stream::iter)
}

/// Forgets what is kept of a Function that is gone, or that was made anew under the same name.
fn track(cx: &Context, uids: &mut HashMap<Key, String>, key: &Key) {
    let uid = cx.stores.function(key).and_then(|function| function.metadata.uid.clone());
    let before = match &uid {
        Some(uid) => uids.insert(key.clone(), uid.clone()),
        None => uids.remove(key),
    };
    if let Some(gone) = before.filter(|before| uid.as_ref() != Some(before)) {
        cx.forget(&gone);
        cx.backoff.reset(key);
    }
}

/// One pass, counted and with its errors turned into the time of the next.
async fn pass(function: Arc<Function>, cx: &Context) -> Action {
    let started = Instant::now();
    let key = Key::from_obj(&*function);
    let newest = cx.recent.functions.newest(&key, Some(Arc::clone(&function)), started).unwrap_or(function);
    let (name, namespace) = (newest.name_any(), newest.namespace());
    let (outcome, next) = match reconcile(newest, cx).await {
        Ok(Pass::Done(again)) => {
            cx.backoff.reset(&key);
            (Outcome::Done, again)
        }
        Ok(Pass::Soon) => (Outcome::Waiting, Some(cx.backoff.next(key, SOON))),
        Ok(Pass::Blocked) => (Outcome::Waiting, Some(cx.backoff.next(key, BLOCKED))),
        Err(Error::Apply(Stop::NotLeading)) => (Outcome::Waiting, Some(cx.backoff.next(key, BLOCKED))),
        Err(error) => {
            let wait = cx.backoff.next(key, ERROR);
            warn!(namespace, function = name, %error, again_ms = wait.as_millis(), "A pass failed and is repeated.");
            (Outcome::Error, Some(wait))
        }
    };
    cx.metrics.pass(Kind::Function, outcome, started.elapsed());
    next.map_or_else(Action::await_change, Action::requeue)
}

#[cfg(test)]
mod tests;
