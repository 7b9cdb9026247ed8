//! How starts of the Function's revisions went: reads readiness and Events, and keeps the verdicts.

use std::{collections::HashMap, time::Duration};

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use runtime::failure::{self, Failure, Start, is_accepted, is_boosted, of_pod};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{resolve::References, rollout::Rollout, validate::Valid};
use crate::{
    context::Context,
    failure::{
        Terms, Verdict,
        judge::{self, Failed, Judgement},
        memory::Remembered,
    },
};

/// Most pods of one Function whose Events are read in one pass.
const EVENT_READS: usize = 4;

/// While it is not known how many pods are ready, it is looked again so often: an activator that is heard again with
/// nothing new to say tells nobody.
const UNKNOWN: Duration = Duration::from_secs(5);

/// What is known of one revision's start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Started {
    /// How many of its pods every activator has proved ready; `None` = not known now.
    pub ready: Option<usize>,
    /// It failed.
    pub failed: Option<Failed>,
}

/// What is known of the starts of a Function's revisions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// Of the serving revision.
    pub serving: Started,
    /// Of the wanted one; the same if it serves.
    pub wanted: Started,
    /// Look again after this time though nothing changes.
    pub again: Option<Duration>,
}

/// Looks at the serving and the wanted revision; reads Events about pods that take too long to start.
pub async fn look(cx: &Context, valid: &Valid, refs: &References, serving: &str, now: Instant) -> Starts {
    let memory = remember(cx, valid, refs, now);
    let mut starts = judged(cx, valid, refs, serving, &memory, now);
    let unread: Vec<String> = starts.iter().flat_map(|(_, judgement)| judgement.read_events.clone()).collect();
    if !unread.is_empty() {
        join_all(unread.iter().take(EVENT_READS).map(|pod| read_events(cx, valid, pod, now))).await;
        starts = judged(cx, valid, refs, serving, &remember(cx, valid, refs, now), now);
    }
    let mut out = Starts::default();
    for (ready, judgement) in &starts {
        let unknown = ready.is_none().then_some(UNKNOWN);
        judgement.again.into_iter().chain(unknown).for_each(|wait| judge::sooner(&mut out.again, wait));
        out.wanted = Started { ready: *ready, failed: judgement.failed.clone() };
    }
    out.serving = match starts.into_iter().next() {
        Some((ready, judgement)) => Started { ready, failed: judgement.failed },
        None => Started::default(),
    };
    // A new revision that failed has failed until there is reason to try it again: its pods are gone long before that.
    let stands = cx.verdicts.of(&valid.uid, &valid.revision).filter(|verdict| {
        takes_over(valid, serving)
            && verdict.terms == Terms::of(&valid.function.spec)
            && !has_lost_its_boost(verdict, refs)
    });
    if let Some(verdict) = stands.filter(|_| out.wanted.failed.is_none()) {
        let Verdict { failure, pod_uids, from_events, of_boost, .. } = verdict;
        out.wanted.failed = Some(Failed { failure, pod_uids, from_events, of_boost });
    }
    out
}

/// Whether another revision serves than the one that is wanted.
fn takes_over(valid: &Valid, serving: &str) -> bool {
    !serving.is_empty() && serving != valid.revision
}

/// Whether a revision failed for nothing but its start-up boost, and would start without one now: it is tried again. Once,
/// since the next refusal is of something else.
fn has_lost_its_boost(verdict: &Verdict, refs: &References) -> bool {
    let deployment = refs.deployment(&verdict.revision);
    verdict.of_boost && deployment.is_some_and(|deployment| !is_boosted(deployment) && is_accepted(deployment))
}

/// Makes what this pass found the verdicts on the Function.
pub fn publish(cx: &Context, valid: &Valid, starts: &Starts, rollout: &Rollout, serving: &str) {
    let known = cx.verdicts.all();
    let known = |revision: &str| known.iter().find(|k| k.revision == revision && k.function_uid == valid.uid);
    let verdict = |revision: &str, failed: Failed| Verdict {
        key: valid.key.clone(),
        function_uid: valid.uid.clone(),
        revision: revision.to_owned(),
        pod_uids: failed.pod_uids,
        failure: failed.failure,
        from_events: failed.from_events,
        of_boost: failed.of_boost,
        terms: Terms::of(&valid.function.spec),
    };
    let mut standing = Vec::new();
    if takes_over(valid, serving) {
        standing.extend(starts.serving.failed.clone().map(|failed| verdict(serving, failed)));
    }
    let timed_out = |failure: &Failure| Failed {
        failure: failure.clone(),
        pod_uids: Vec::new(),
        from_events: false,
        of_boost: false,
    };
    let wanted = match rollout {
        Rollout::Failed(failure) => Some(starts.wanted.failed.clone().unwrap_or_else(|| timed_out(failure))),
        // What kept it from starting beside the old one is over with that.
        Rollout::Switch => None,
        Rollout::Steady | Rollout::Grow { .. } => starts.wanted.failed.clone(),
    };
    standing.extend(wanted.map(|failed| verdict(&valid.revision, failed)));
    for verdict in standing.iter().filter(|verdict| known(&verdict.revision).is_none()) {
        let Verdict { revision, failure, .. } = verdict;
        info!(namespace = valid.namespace, revision, reason = %failure.reason, message = failure.message, "A start failed.");
    }
    cx.verdicts.replace(&valid.uid, standing);
}

/// Why a revision has not all the pods that it is to have, where some find no node or are refused and nothing else is wrong:
/// each of the others is ready. `ready`: how many are.
pub fn lack(refs: &References, revision: &str, ready: Option<usize>) -> Option<Failure> {
    let mut lacks = refs.deployment(revision).and_then(|deployment| failure::of_deployment(deployment));
    let mut placed = 0;
    for pod in refs.pods_of(revision, false) {
        match of_pod(pod, false) {
            Start::Unschedulable { failure, .. } => lacks = Some(failure),
            Start::Fine | Start::Failed(_) => placed += 1,
        }
    }
    lacks.filter(|_| ready.is_some_and(|ready| ready >= placed))
}

fn judged(
    cx: &Context,
    valid: &Valid,
    refs: &References,
    serving: &str,
    memory: &HashMap<String, Remembered>,
    now: Instant,
) -> Vec<(Option<usize>, Judgement)> {
    let mut revisions = vec![valid.revision.as_str()];
    if takes_over(valid, serving) {
        revisions.insert(0, serving);
    }
    let of = |revision: &str| {
        let pods: Vec<&Pod> = refs.pods_of(revision, false).collect();
        let ready = ready(cx, revision, &pods);
        let deployment = refs.deployment(revision).map(|deployment| &**deployment);
        let view = judge::Revision { deployment, pods: &pods, memory, ready };
        (ready, judge::revision(view, cx.settings.unschedulable, now))
    };
    revisions.into_iter().map(of).collect()
}

fn ready(cx: &Context, revision: &str, pods: &[&Pod]) -> Option<usize> {
    let uids: Vec<String> = pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    if uids.is_empty() { Some(0) } else { cx.ready.ready_pods(revision, &uids) }
}

fn remember(cx: &Context, valid: &Valid, refs: &References, now: Instant) -> HashMap<String, Remembered> {
    let pods: HashMap<&str, &Pod> = refs
        .pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| Some((pod.metadata.uid.as_deref()?, &**pod)))
        .collect();
    cx.memory.refresh(&valid.uid, pods.keys().copied(), now, |uid, memory| {
        let Some(pod) = pods.get(uid) else { return };
        let revision = pod.metadata.labels.as_ref().and_then(|labels| labels.get(crds::labels::REVISION));
        let ready = || revision.is_some_and(|r| cx.ready.ready_pods(r, &[uid.to_owned()]) == Some(1));
        memory.ever_ready = memory.ever_ready || ready();
        let unschedulable = matches!(of_pod(pod, memory.ever_ready), Start::Unschedulable { .. });
        memory.unschedulable_since = unschedulable.then(|| memory.unschedulable_since.unwrap_or(now));
    })
}

async fn read_events(cx: &Context, valid: &Valid, pod: &str, now: Instant) {
    let said = cx.pod_events.of_pod(&cx.client, &valid.namespace, pod).await;
    if let Err(error) = &said {
        warn!(namespace = valid.namespace, function = valid.name, %error, "Events about a pod could not be read.");
    }
    cx.memory.read(&valid.uid, pod, said.ok().flatten(), now);
}

#[cfg(test)]
mod tests;
