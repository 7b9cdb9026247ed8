//! The waker of a function: one task for as long as anybody waits for it.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use runtime::failure::Failure;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::plan::{self, Asked, Step};
use super::refusal::{Meaning, meaning};
use super::scale;
use crate::function::starts::Patience;
use crate::function::{Function, need};
use crate::hold::Watch;
use crate::index::Index;
use crate::link::Beacon;
use crate::metrics::{Metrics, WakeResult};
use crate::path::fault::Fault;

/// How often a start is judged while nothing else happens: `unschedulableSeconds` may have passed.
const TICK: Duration = Duration::from_millis(250);
/// How long the leader may take to answer to requests that wait for drained pods.
const PATIENCE: Duration = Duration::from_millis(250);
/// Waits after an error: this, doubled each time, up to [`LONGEST`].
const SHORTEST: Duration = Duration::from_millis(50);
/// See [`SHORTEST`].
const LONGEST: Duration = Duration::from_secs(1);
/// A refusal may come from a right or a policy that is just being installed. After this many, over at least
/// [`REFUSED_FOR`], it is told to the callers.
const REFUSALS: u32 = 3;
/// See [`REFUSALS`].
const REFUSED_FOR: Duration = Duration::from_secs(1);
/// A number of replicas that was refused is asked for again after this; until then fewer are.
const FEWER_FOR: Duration = Duration::from_secs(5);

/// Wakes functions.
#[derive(Clone)]
pub struct Waker {
    client: Client,
    /// Where wakers run: not where requests are served.
    runtime: Handle,
    unschedulable: Duration,
    metrics: Arc<Metrics>,
    index: Arc<Index>,
    beacon: Arc<Beacon>,
}

/// What one waker remembers between its steps.
struct Episode {
    began: Instant,
    /// What the Deployment said before this wake.
    stale: Option<Failure>,
    asked: Option<Asked>,
    /// Somebody wrote at the same time as the last attempt.
    conflict: bool,
    refusals: u32,
    refused_since: Option<Instant>,
    /// More replicas than these were refused, and are not asked for until then.
    most: Option<(i32, Instant)>,
    backoff: Duration,
    /// Since when requests wait for nothing but an order's end.
    drained_since: Option<Instant>,
}

impl Waker {
    /// Writes through `client`; `unschedulable` as in [`Patience`]. Drained pods that requests wait for are reported at
    /// `beacon` and taken back from `index`. Wakers run on the runtime that this is called on.
    pub fn new(
        client: Client,
        unschedulable: Duration,
        metrics: &Arc<Metrics>,
        index: &Arc<Index>,
        beacon: &Arc<Beacon>,
    ) -> Self {
        Self {
            client,
            runtime: Handle::current(),
            unschedulable,
            metrics: Arc::clone(metrics),
            index: Arc::clone(index),
            beacon: Arc::clone(beacon),
        }
    }

    /// Starts the waker of the watch's function. It ends when nobody waits.
    pub fn start(&self, watch: Watch) {
        let waker = self.clone();
        self.runtime.spawn(async move { waker.run(watch).await });
    }

    async fn run(&self, mut watch: Watch) {
        let function = &Arc::clone(watch.function());
        let now = Instant::now();
        let mut episode = Episode {
            began: now,
            stale: function.starts.load().refused.clone(),
            asked: None,
            conflict: false,
            refusals: 0,
            refused_since: None,
            most: None,
            backoff: SHORTEST,
            drained_since: None,
        };
        self.beacon.urge();
        // Requests that have arrived already get into the first write.
        tokio::task::yield_now().await;
        while !watch.over() {
            function.look_at_start();
            // Whoever makes a pod free hands it on. This finds what somebody forgot, within a tick.
            function.pardon();
            function.release();
            let now = Instant::now();
            if let Some(failure) = self.verdict(function, &episode, now) {
                info!(function = %function.key, reason = %failure.reason, message = failure.message, "A start failed.");
                let message = if function.spec.load().debug { failure.whole() } else { failure.message };
                let reason = failure.reason.as_str().into();
                function.gate.fail(&Fault::StartFailed { reason, message: message.into() });
                continue;
            }
            if let Some(fault) = function.refusal() {
                function.gate.fail(&fault);
                continue;
            }
            self.take_back(function, &mut episode, now);
            let step = self.next(function, &episode, now);
            match step {
                Step::Write(replicas) => self.write(function, &mut episode, replicas).await,
                Step::Wait(until) => {
                    tokio::select! {
                        () = function.gate.changed.notified() => {}
                        () = sleep_until(until) => {}
                    }
                }
                Step::Rest => {
                    let tick = if episode.drained_since.is_some() { PATIENCE / 10 } else { TICK };
                    let _ = timeout(tick, function.gate.changed.notified()).await;
                }
            }
        }
        function.look_at_start();
    }

    /// Requests that wait only because every pod is drained are reported at once. The leader releases the pods or lowers
    /// within milliseconds; if it does neither, or there is none, the pods are taken back.
    fn take_back(&self, function: &Function, episode: &mut Episode, now: Instant) {
        if !function.all_drained() {
            episode.drained_since = None;
            return;
        }
        let since = *episode.drained_since.get_or_insert_with(|| {
            self.beacon.urge();
            now
        });
        if !self.beacon.attached() || now >= since + PATIENCE {
            episode.drained_since = None;
            self.index.take_back(&function.uid);
        }
    }

    fn verdict(&self, function: &Function, episode: &Episode, now: Instant) -> Option<Failure> {
        let since = episode.asked.as_ref().map_or(episode.began, |asked| asked.at);
        let stale = episode.stale.as_ref().map(|failure| (failure, since));
        function.failed(now, &Patience { unschedulable: self.unschedulable, stale })
    }

    fn next(&self, function: &Function, episode: &Episode, now: Instant) -> Step {
        let spec = function.spec.load();
        let workload = function.workload.load();
        // Where the load does not decide, only the leader writes.
        let decides = spec.scaling.fixed().is_none();
        let Some(workload) = workload.as_ref().filter(|workload| workload.name == spec.revision && decides) else {
            return Step::Rest;
        };
        let held = u32::try_from(function.gate.held()).unwrap_or(u32::MAX);
        let most = episode.most.filter(|(_, until)| now < *until).map_or(i32::MAX, |(most, _)| most);
        plan::step(need(&spec.scaling, held).min(most), workload, episode.asked.as_ref(), now)
    }

    async fn write(&self, function: &Function, episode: &mut Episode, replicas: i32) {
        let deployment = Arc::clone(&function.spec.load().revision);
        let at = Instant::now();
        // Each revision has a start of its own.
        let writes =
            episode.asked.as_ref().filter(|asked| asked.deployment == deployment).map_or(0, |asked| asked.writes);
        if writes == 0 {
            function.wakes.sent(at);
        }
        let answer = scale::write(&self.client, &function.key.namespace, &deployment, replicas).await;
        let writes = writes + 1;
        let error = match answer {
            Ok(version) => {
                function.wakes.answered(Instant::now());
                self.metrics.wake(function, WakeResult::Ok);
                debug!(function = %function.key, replicas, "Woken.");
                episode.asked = Some(Asked { deployment, replicas, version, at, writes });
                episode.backoff = SHORTEST;
                episode.conflict = false;
                episode.refused_since = None;
                episode.refusals = 0;
                return;
            }
            Err(error) => error,
        };
        let meaning = meaning(&error);
        let again = std::mem::replace(&mut episode.conflict, meaning == Meaning::Conflict);
        match meaning {
            Meaning::Already => {
                self.metrics.wake(function, WakeResult::Already);
                episode.asked = Some(Asked { deployment, replicas, version: None, at, writes });
            }
            Meaning::Conflict => {
                self.metrics.wake(function, WakeResult::Conflict);
                // The second in a row is no accident.
                if again {
                    self.pause(function, episode).await;
                }
            }
            Meaning::Later => {
                self.metrics.wake(function, WakeResult::Error);
                warn!(function = %function.key, %error, "A wake failed; trying again.");
                self.pause(function, episode).await;
            }
            Meaning::Refused(words) => {
                self.metrics.wake(function, WakeResult::Refused);
                let present = present(function, &deployment, episode.asked.as_ref(), at);
                if replicas > present.max(1) {
                    // Whoever limits the number may allow some, and those that are there already answer.
                    warn!(function = %function.key, replicas, %error, "So many replicas are refused; asking for fewer.");
                    episode.most = Some((present.max(replicas / 2), at + FEWER_FOR));
                    return;
                }
                episode.refusals += 1;
                let since = *episode.refused_since.get_or_insert(at);
                if episode.refusals >= REFUSALS && since.elapsed() >= REFUSED_FOR {
                    warn!(function = %function.key, %error, "The API server refuses to wake the function.");
                    function.gate.fail(&Fault::WakeRefused(words));
                } else {
                    self.pause(function, episode).await;
                }
            }
        }
    }

    /// Waits for the backoff, or until nobody waits any more.
    async fn pause(&self, function: &Function, episode: &mut Episode) {
        let until = Instant::now() + episode.backoff;
        episode.backoff = (episode.backoff * 2).min(LONGEST);
        while function.gate.held() > 0 {
            tokio::select! {
                () = function.gate.changed.notified() => {}
                () = sleep_until(until) => return,
            }
        }
    }
}

/// Replicas that the Deployment has as far as is known: by the watch, or by an answer that the watch does not show yet.
fn present(function: &Function, deployment: &str, asked: Option<&Asked>, now: Instant) -> i32 {
    let workload = function.workload.load();
    let Some(watched) = workload.as_ref().filter(|workload| *workload.name == *deployment) else { return 0 };
    let asked = asked.filter(|asked| *asked.deployment == *deployment && asked.is_pending(watched, now));
    watched.replicas.max(asked.map_or(0, |asked| asked.replicas))
}

#[cfg(test)]
#[path = "waker_tests.rs"]
mod tests;
