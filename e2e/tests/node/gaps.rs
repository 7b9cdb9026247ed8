//! Requests sent into every gap of going to zero: while the order to drain is on its way, before and after it is
//! acknowledged, while `/scale` is written, while the pod is being deleted. Whatever they meet, they are answered.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use e2e::{
    audit, http,
    record::{Record, Seen},
    scene::{PATIENCE, Scene, scene, tell},
};
use futures::future::try_join_all;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde_json::json;
use tokio::time::{sleep, sleep_until};

const FUNCTIONS: usize = 20;
const ROUNDS: usize = 16;
const WINDOW: Duration = Duration::from_secs(6);

/// Into which gap a request is sent.
#[derive(Clone, Copy, Debug)]
enum Aim {
    /// So long after the idle window, by the clock: around the order and its acknowledgement, where nothing shows.
    Clock(Duration),
    /// As soon as `/scale` is seen at zero.
    Written,
    /// So long after the pod is seen to be deleted.
    Deleted(Duration),
}

impl Aim {
    /// In three of four the clock decides. An idle function is drained and lowered within a tenth of a second after its
    /// window, or a little later on a busy machine: most of those fall there, the others reach well beyond.
    fn of(function: usize, round: usize) -> Self {
        let shot = function * ROUNDS + round;
        // The golden ratio spreads evenly however few of the shots are of one kind.
        let sweep = |seconds: f64| Duration::from_secs_f64(seconds * (shot as f64 * 0.618_034).fract());
        match shot % 8 {
            0 => Self::Written,
            1 => Self::Deleted(sweep(3.0)),
            2 | 3 => Self::Clock(sweep(2.0)),
            _ => Self::Clock(sweep(0.24)),
        }
    }
}

/// What became of one request.
struct Shot {
    function: usize,
    round: usize,
    aim: Aim,
    /// Between the write of `/scale` and the request; none if it was not written yet.
    after_write: Option<Duration>,
    took: Duration,
    /// Where its time went if it had to wait; the error if it was not answered with 200.
    outcome: Result<Option<String>, String>,
}

impl fmt::Display for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { function, round, aim, after_write, took, outcome } = self;
        write!(f, "function {function}, round {round}, {aim:?}, {after_write:?} after the write, {took:?}: {outcome:?}")
    }
}

#[test]
fn a_request_into_any_gap_of_going_to_zero_is_answered() {
    scene("gaps", |scene| async move {
        let scene = Arc::new(scene);
        let all = (0..FUNCTIONS).map(|n| one_function(Arc::clone(&scene), n));
        let shots: Vec<Shot> = try_join_all(all).await?.into_iter().flatten().collect();

        let failed: Vec<String> = shots.iter().filter(|s| s.outcome.is_err()).map(ToString::to_string).collect();
        let cold = shots.iter().filter(|s| matches!(s.outcome, Ok(Some(_)))).count();
        let warm = shots.iter().filter(|s| matches!(s.outcome, Ok(None))).count();
        let after_write = shots.iter().filter(|s| s.after_write.is_some()).count();
        let close = shots.iter().filter(|s| s.after_write.is_some_and(|d| d < Duration::from_millis(50))).count();
        let scalings = audit::scalings(&scene.cluster, &scene.namespace)?;
        let conflicts = scalings.iter().filter(|scaling| !scaling.by_activator() && scaling.code == 409).count();
        let longest = shots.iter().max_by_key(|s| s.took).context("no requests")?;
        tell(format_args!(
            "{} requests into gaps: {warm} met their pod, {cold} started a new one; {after_write} after the write of \
             /scale, {close} of them within 50 ms; {conflicts} writes of the leader came too late (409); {} failed; \
             the longest: {longest}",
            shots.len(),
            failed.len()
        ));
        ensure!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), shots.len(), failed.join("\n"));
        ensure!(shots.len() >= 300, "only {} requests", shots.len());
        // Otherwise they were all on one side of the gaps, and prove nothing.
        ensure!(warm >= 30 && cold >= 30, "the requests missed the gaps: {warm} warm, {cold} cold");
        Ok(())
    });
}

async fn one_function(scene: Arc<Scene>, function: usize) -> Result<Vec<Shot>> {
    let name = format!("gap-{function}");
    scene.function(&name, json!({"scaling": {"windowSeconds": WINDOW.as_secs()}})).await?;
    let selector = format!("{}={name}", crds::labels::FUNCTION);
    let deployments = Record::<Deployment>::start(scene.api(), &selector).await?;
    let pods = Record::<Pod>::start(scene.api(), &selector).await?;
    // Not all in step, or a pod's start would compete with twenty others.
    sleep(WINDOW.mul_f64(function as f64 / FUNCTIONS as f64)).await;
    let mut ended = answered(&scene, &name).await.map(|_| Instant::now())?;
    let mut shots = Vec::new();
    for round in 0..ROUNDS {
        let aim = Aim::of(function, round);
        let zero = |since: Instant| {
            deployments.until("the Deployment at zero", PATIENCE, move |seen| {
                seen.at > since && seen.object.spec.as_ref().and_then(|spec| spec.replicas) == Some(0)
            })
        };
        match aim {
            Aim::Clock(past) => sleep_until((ended + WINDOW + past).into()).await,
            Aim::Written => drop(zero(ended).await?),
            Aim::Deleted(past) => {
                let leaving = |seen: &Seen<Pod>| seen.object.metadata.deletion_timestamp.is_some();
                let before = pods.all(|seen| seen.at <= ended && leaving(seen));
                let before: BTreeSet<_> = before.into_iter().filter_map(|seen| seen.object.metadata.name).collect();
                let new = |seen: &Seen<Pod>| {
                    leaving(seen) && seen.object.metadata.name.as_ref().is_some_and(|name| !before.contains(name))
                };
                let deleted = pods.until("the pod deleted", PATIENCE, new).await?;
                sleep_until((deleted.at + past).into()).await;
            }
        }
        let sent = Instant::now();
        let written = deployments
            .first(|seen| seen.at > ended && seen.object.spec.as_ref().and_then(|spec| spec.replicas) == Some(0));
        let outcome = answered(&scene, &name).await.map_err(|error| format!("{error:#}"));
        let after_write = written.map(|seen| sent - seen.at);
        shots.push(Shot { function, round, aim, after_write, took: sent.elapsed(), outcome });
        ended = Instant::now();
    }
    Ok(shots)
}

/// Sends a request. Gives where its time went if it was cold; anything but a 200 is an error.
async fn answered(scene: &Scene, name: &str) -> Result<Option<String>> {
    let answer = http::get(scene.entry, &scene.host(name), "/", PATIENCE).await?;
    ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
    let cold = answer.header("rouse-cold-start").context("no Rouse-Cold-Start")? == "true";
    Ok(cold.then(|| answer.header("server-timing").unwrap_or_default().to_owned()))
}
