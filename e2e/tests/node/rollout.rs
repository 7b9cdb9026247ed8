//! A new image takes over while requests flow, and no request notices.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use crds::{ConditionType, Function, Reason, condition};
use e2e::{
    http::{self as client, Answer},
    logs::Logs,
    record::Record,
    scene::{APP, APP_2, PATIENCE, Scene, holds, scene, tell, until},
};
use http::{Request, header::HOST};
use http_body_util::Full;
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{ResourceExt, api::ListParams};
use serde_json::json;
use tokio::task::JoinSet;

/// A POST that the application logs under its id.
async fn post(scene: &Scene, function: &str, path: &str, id: &str) -> Result<Answer> {
    let request = Request::post(path).header(HOST, scene.host(function)).header("x-id", id);
    client::send(scene.entry, request.body(Full::new(Bytes::from_static(b"body")))?, PATIENCE).await
}

fn succeeded(answer: Result<Answer>, what: &str) -> Result<Answer> {
    let answer = answer.with_context(|| what.to_owned())?;
    ensure!(answer.status == 200, "{what}: {} {}", answer.status, answer.text());
    Ok(answer)
}

/// From a change to the next one, counted from when the traffic has moved: how long that takes is the machine's affair.
const PAUSE: Duration = Duration::from_secs(12);

/// What one request of the flow came to.
struct Outcome {
    id: Option<String>,
    answer: Result<Answer>,
    sent: Duration,
}

#[test]
fn three_new_images_while_requests_flow() {
    scene("rollout", async |scene| {
        let scene = Arc::new(scene);
        scene.function("app", json!({"scaling": {"minReplicas": 2}, "resources": {"memory": "32Mi"}})).await?;
        let logs = Logs::follow(&scene, "app");
        succeeded(scene.get("app", "/").await, "the first request")?;
        let on = Arc::new(AtomicBool::new(true));
        let flow = tokio::spawn(flow(Arc::clone(&scene), Arc::clone(&on)));
        let versions = tokio::spawn(versions(Arc::clone(&scene), Arc::clone(&on)));
        // The second change goes back to a revision that is only just being taken away.
        let changes = [
            json!({"image": APP_2}),
            json!({"image": APP}),
            json!({"image": APP_2, "env": [{"name": "ROUND", "value": "3"}]}),
        ];
        for (round, spec) in changes.into_iter().enumerate() {
            tokio::time::sleep(PAUSE).await;
            let before = scene.api::<Function>().get("app").await?.status.unwrap_or_default().revision;
            scene.change_function("app", spec).await?;
            let changed = Instant::now();
            let new = |f: &Function| f.status.as_ref().is_some_and(|s| s.revision != before);
            scene.function_when("app", "on the new revision", new).await?;
            tell(format!("change {}: traffic moved after {:?}", round + 1, changed.elapsed()));
        }
        tokio::time::sleep(PAUSE).await;
        on.store(false, Ordering::Relaxed);
        let outcomes = flow.await?;
        let sent: BTreeSet<String> = outcomes.iter().filter_map(|outcome| outcome.id.clone()).collect();
        let total = outcomes.len();
        let mut failed = Vec::new();
        for Outcome { id, answer, sent } in outcomes {
            if let Err(error) = succeeded(answer, &format!("{id:?} at {sent:?}")) {
                failed.push(format!("{error:#}"));
            }
        }
        tell(format!("{total} requests, {} of them with an id, {} failed", sent.len(), failed.len()));
        ensure!(failed.is_empty(), "{} of {total} failed:\n{}", failed.len(), failed.join("\n"));
        // The pauses alone are 48 seconds.
        ensure!(total >= 800 && sent.len() >= 400, "only {total} requests were sent");
        logs.exactly_once(&sent).await?;
        // 1, then 2, then 1, then 2, and never back in between.
        let mut order = versions.await??;
        order.dedup();
        ensure!(order == ["1\n", "2\n", "1\n", "2\n"], "{order:?}");
        ensure!(scene.get("app", "/env?name=ROUND").await?.text() == "3");
        let left = until("only the last revision is left", PATIENCE * 2, async || {
            let all = scene.api::<Deployment>().list(&ListParams::default()).await?.items;
            Ok((all.len() == 1).then(|| all[0].name_any()))
        });
        let left = left.await?;
        let status = scene.api::<Function>().get("app").await?.status.unwrap_or_default();
        ensure!(left == status.revision, "{left} is left, but {} serves", status.revision);
        Ok(())
    });
}

/// 20 requests a second, every other one a POST with an id of its own that takes a while.
async fn flow(scene: Arc<Scene>, on: Arc<AtomicBool>) -> Vec<Outcome> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    let mut requests = JoinSet::new();
    let mut number = 0;
    while on.load(Ordering::Relaxed) {
        tick.tick().await;
        number += 1;
        let (scene, sent) = (Arc::clone(&scene), began.elapsed());
        requests.spawn(async move {
            if number % 2 == 0 {
                let answer = scene.get("app", "/version").await;
                return Outcome { id: None, answer, sent };
            }
            let id = format!("{}-{number}", scene.namespace);
            let answer = post(&scene, "app", "/sleep?ms=150", &id).await;
            Outcome { id: Some(id), answer, sent }
        });
    }
    requests.join_all().await
}

/// The version that answers, asked for again and again, each time after the answer before. Requests that are under way together
/// may overtake one another, and a busy machine lets them: of these the answers come in the order in which they were sent.
async fn versions(scene: Arc<Scene>, on: Arc<AtomicBool>) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    while on.load(Ordering::Relaxed) {
        seen.push(succeeded(scene.get("app", "/version").await, "a look at the version")?.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(seen)
}

#[test]
fn a_server_that_closes_idle_connections_fails_no_post() {
    scene("idle", async |scene| {
        scene.function("idle", json!({"env": [{"name": "IDLE_CLOSE_MS", "value": "2000"}]})).await?;
        let logs = Logs::follow(&scene, "idle");
        succeeded(scene.get("idle", "/").await, "the first request")?;
        let (mut sent, mut failed) = (BTreeSet::new(), Vec::new());
        while sent.len() < 150 {
            // 1.9 to 2.1 s in steps of 1 ms, in an order that visits them all.
            let pause = 1900 + sent.len() as u64 * 37 % 201;
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let id = format!("{}-{}", scene.namespace, sent.len());
            if let Err(error) = succeeded(post(&scene, "idle", "/echo", &id).await, &format!("{id} after {pause} ms")) {
                failed.push(format!("{error:#}"));
            }
            sent.insert(id);
        }
        tell(format!("{} POSTs, {} failed", sent.len(), failed.len()));
        ensure!(failed.is_empty(), "{} of {} failed:\n{}", failed.len(), sent.len(), failed.join("\n"));
        logs.exactly_once(&sent).await
    });
}

#[test]
fn a_revision_that_never_starts_leaves_the_old_one_serving() {
    scene("never", async |scene| {
        let spec = json!({"scaling": {"windowSeconds": 600}});
        let first = scene.function("never", spec).await?.status.unwrap_or_default().revision;
        ensure!(succeeded(scene.get("never", "/version").await, "before")?.text() == "1\n");
        // One that Kubernetes reports, and one that only our own clock notices.
        for wrong in [
            json!({"image": "127.0.0.1:1/x:1"}),
            json!({"image": APP_2, "env": [{"name": "START_DELAY_MS", "value": "600000"}], "timeouts": {"coldStartSeconds": 5}}),
        ] {
            let changed = scene.change_function("never", wrong).await?.metadata.generation;
            let began = Instant::now();
            let said = until("the Function says why", PATIENCE * 2, async || {
                ensure!(succeeded(scene.get("never", "/version").await, "meanwhile")?.text() == "1\n");
                let conditions = scene.api::<Function>().get("never").await?.status.unwrap_or_default().conditions;
                let stalled = condition::find(&conditions, ConditionType::Stalled).cloned();
                let failed =
                    |c: &Condition| c.observed_generation == changed && c.reason == Reason::RevisionFailed.as_str();
                Ok(stalled.filter(failed).map(|c| c.message))
            });
            let said = said.await?;
            tell(format!("after {:?}: {said}", began.elapsed()));
            let function = scene.api::<Function>().get("never").await?;
            let status = function.status.clone().unwrap_or_default();
            ensure!(status.revision == first, "{} took over", status.revision);
            let ready = condition::is_true(&status.conditions, ConditionType::Ready);
            ensure!(ready, "the old one serves, but: {}", json!(status));
        }
        let right = json!({"image": APP_2, "env": null, "timeouts": {"coldStartSeconds": 60}});
        scene.change_function("never", right).await?;
        let served = until("the corrected image serves", PATIENCE * 2, async || {
            let answer = succeeded(scene.get("never", "/version").await, "afterwards")?;
            Ok((answer.text() == "2\n").then_some(()))
        });
        served.await?;
        let clean = |f: &Function| {
            let conditions = &f.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
            let ended = [ConditionType::Stalled, ConditionType::Reconciling];
            holds(f, ConditionType::Ready) && ended.iter().all(|kind| condition::find(conditions, *kind).is_none())
        };
        scene.function_when("never", "well again", clean).await?;
        let gone = until("the failed revisions are gone", PATIENCE * 2, async || {
            let all = scene.api::<Deployment>().list(&ListParams::default()).await?.items;
            Ok((all.len() == 1).then_some(()))
        });
        gone.await
    });
}

#[test]
fn a_new_image_at_zero_starts_nothing() {
    scene("atzero", async |scene| {
        let first = scene.function("atzero", json!({})).await?.status.unwrap_or_default().revision;
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        let changed = Instant::now();
        scene.change_function("atzero", json!({"image": APP_2})).await?;
        let moved = |f: &Function| f.status.as_ref().is_some_and(|s| s.revision != first && !s.revision.is_empty());
        scene.function_when("atzero", "on the new revision", |f| moved(f) && holds(f, ConditionType::Ready)).await?;
        tell(format!("switched after {:?}", changed.elapsed()));
        let old = until("the old revision is gone", PATIENCE, async || {
            Ok(scene.api::<Deployment>().get_opt(&first).await?.is_none().then_some(()))
        });
        old.await?;
        ensure!(pods.names().is_empty(), "started: {:?}", pods.names());
        ensure!(succeeded(scene.get("atzero", "/version").await, "from zero")?.text() == "2\n");
        Ok(())
    });
}
