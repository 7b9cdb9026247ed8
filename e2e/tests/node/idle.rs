//! The idle window: nothing runs after it, and nothing is stopped before it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    audit, http,
    record::Record,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

/// Since the scene began.
const EVER: Timestamp = Timestamp::UNIX_EPOCH;

#[test]
fn after_the_idle_window_no_pod_is_left_and_not_before() {
    scene("idle", |scene| async move {
        scene.function("idle", json!({"scaling": {"windowSeconds": 6}})).await?;
        ensure!(scene.get("idle", "/").await?.status == 200, "the function does not answer");
        // By a warm request, and from when it was sent: it did not end before that, and when it ended, this test may learn
        // later than the activator.
        let (sent, begin) = (Timestamp::now(), Instant::now());
        ensure!(scene.get("idle", "/").await?.status == 200, "the function does not answer again");
        scene.at_zero("idle").await?;
        let gone = begin.elapsed();
        let lowered = lowered(&scene, sent)?.context("nobody lowered the Deployment")?;
        let after = (lowered.as_millisecond() - sent.as_millisecond()) as f64 / 1e3;
        tell(format_args!("window of 6 s: lowered {after:.2} s after the last request, no pod after {gone:.1?}"));
        ensure!(after >= 6.0, "lowered {after} s after the last request: before the window of 6 s was over");
        let function =
            scene.function_when("idle", "inactive", |f| !e2e::scene::holds(f, crds::ConditionType::Active)).await?;
        ensure!(e2e::scene::holds(&function, crds::ConditionType::Ready), "not Ready at zero: {:?}", function.status);
        Ok(())
    });
}

#[test]
fn a_request_every_four_fifths_of_the_window_keeps_a_function_alive() {
    scene("alive", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        // A fifth of the window is what a busy machine may be late by.
        scene.function("alive", json!({"scaling": {"windowSeconds": 40}})).await?;
        ensure!(scene.get("alive", "/").await?.status == 200, "the function does not answer");
        let mut ticks = interval(Duration::from_secs(32));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for round in 0..6 {
            ticks.tick().await;
            let answer = scene.get("alive", "/").await?;
            ensure!(answer.status == 200, "request {round}: {}", answer.status);
            ensure!(answer.header("rouse-cold-start") == Some("false"), "request {round} met no pod");
        }
        ensure!(pods.names().len() == 1, "more than one pod served: {:?}", pods.names());
        ensure!(lowered(&scene, EVER)?.is_none(), "the Deployment was lowered although requests came in time");
        Ok(())
    });
}

#[test]
fn a_request_longer_than_the_window_is_not_idleness() {
    scene("long", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        scene.function("long", json!({"scaling": {"windowSeconds": 6}})).await?;
        let answer = scene.get("long", "/sleep?ms=15000").await?;
        ensure!(answer.status == 200 && answer.text() == "slept 15000 ms\n", "{} {}", answer.status, answer.text());
        ensure!(lowered(&scene, EVER)?.is_none(), "the Deployment was lowered while a request was in flight");
        let deleted = pods.first(|seen| seen.object.metadata.deletion_timestamp.is_some());
        ensure!(deleted.is_none(), "the pod was deleted while it served");
        // And the end of it starts the window.
        scene.at_zero("long").await
    });
}

/// With a body, so that it is held with the request.
#[test]
fn a_function_wakes_again_and_again() {
    scene("again", |scene| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        scene.function("again", json!({"scaling": {"windowSeconds": 6}})).await?;
        for round in 1..=3 {
            let body = "x".repeat(round * 1000).into();
            let answer = http::post(scene.entry, &scene.host("again"), "/upload", body, PATIENCE).await?;
            ensure!(answer.status == 200 && answer.text() == format!("{}\n", round * 1000), "{}", answer.text());
            ensure!(answer.header("rouse-cold-start") == Some("true"), "round {round} was not cold");
            // The watch may tell of the pod after the answer.
            until("the pod is seen", PATIENCE, async || Ok((pods.names().len() >= round).then_some(()))).await?;
            ensure!(pods.names().len() == round, "round {round}: pods {:?}", pods.names());
            scene.at_zero("again").await?;
        }
        Ok(())
    });
}

/// When the leader first lowered a Deployment of the scene since then.
fn lowered(scene: &Scene, since: Timestamp) -> Result<Option<Timestamp>> {
    let all = audit::scalings(&scene.cluster, &scene.namespace)?;
    Ok(all.iter().find(|s| s.accepted() && s.replicas == 0 && s.received >= since).map(|s| s.received))
}
