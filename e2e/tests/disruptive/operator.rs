//! Without the operator, and when it changes hands.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{
    http, install,
    record::Record,
    scene::{Scene, tell},
};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::{sleep, sleep_until};

use crate::installation::disturb;

const WINDOW: Duration = Duration::from_secs(6);
/// An answer that took longer, but for what Kubernetes took to start its pod, is worth a line of its own.
const SLOW: Duration = Duration::from_millis(500);

#[test]
fn a_cold_request_is_served_without_the_operator() {
    disturb("lonely", |scene, rouse| async move {
        scene.function("cold", json!({"scaling": {"windowSeconds": 6}})).await?;
        scene.function("other", json!({"scaling": {"windowSeconds": 6}})).await?;
        rouse.scale(install::OPERATOR, 0).await?;
        let begin = Instant::now();
        let answer = scene.get("cold", "/").await?;
        ensure!(answer.status == 200, "without the operator: {} {}", answer.status, answer.text());
        ensure!(answer.header("rouse-cold-start") == Some("true"), "it was not at zero");
        tell(format_args!("cold start without the operator: {:.0?}", begin.elapsed()));
        let answers = join_all((0..20).map(|_| scene.get("other", "/sleep?ms=50"))).await;
        for answer in answers {
            ensure!(answer?.status == 200, "twenty at once without the operator");
        }
        // Nobody knows of everybody's silence, so nothing is stopped.
        sleep(WINDOW * 2).await;
        ensure!(scene.replicas("cold").await? == 1, "the function was lowered without an operator");
        rouse.restore().await?;
        scene.at_zero("cold").await.context("with the operator back")
    });
}

#[test]
fn a_leader_that_dies_while_it_drains_costs_no_request() {
    disturb("dies", |scene, rouse| async move {
        let names: Vec<String> = (0..16).map(|n| format!("f-{n}")).collect();
        for name in &names {
            scene.function(name, json!({"scaling": {"windowSeconds": WINDOW.as_secs()}})).await?;
        }
        let (mut warm, mut cold) = (Vec::new(), Vec::new());
        // From a little after the first window's end, so that the kill meets other functions at other points each time. The last
        // ones only if the leader was too slow for these, or too fast.
        for (round, past) in [0.05, 0.4, 0.75, 1.1, 1.45, 1.8, 3.0, 0.2, 5.0].into_iter().enumerate() {
            if round >= 6 && !warm.is_empty() && !cold.is_empty() {
                break;
            }
            let leader = rouse.leader().await?;
            join_all(names.iter().map(|name| scene.get(name, "/"))).await.into_iter().collect::<Result<Vec<_>>>()?;
            // Their windows end one after another, 60 ms apart.
            let begin = Instant::now();
            let last = names.iter().enumerate().map(async |(n, name)| {
                sleep_until((begin + Duration::from_millis(60) * n as u32).into()).await;
                scene.get(name, "/").await
            });
            join_all(last).await.into_iter().collect::<Result<Vec<_>>>()?;
            sleep_until((begin + WINDOW + Duration::from_secs_f64(past)).into()).await;
            rouse.kill(&leader).await?;
            let answers = join_all(names.iter().map(async |name| {
                let begin = Instant::now();
                let answer = scene.get(name, "/").await.with_context(|| format!("{name}, {past} s past the window"))?;
                anyhow::Ok((answer, begin.elapsed()))
            }))
            .await;
            for answer in answers {
                let (answer, took) = answer?;
                ensure!(answer.status == 200, "{past} s past the window: {} {}", answer.status, answer.text());
                let started = answer.header("rouse-cold-start") == Some("true");
                let timing = answer.header("server-timing").unwrap_or_default();
                let phases = http::server_timing(timing).into_iter();
                let theirs: f64 =
                    phases.filter(|(phase, _)| phase == "schedule" || phase == "start").map(|p| p.1).sum();
                ensure!(started || theirs == 0.0, "it waited for a pod, and says it did not: {took:?}, {timing}");
                let ours = took.saturating_sub(Duration::from_secs_f64(theirs / 1e3));
                if ours > SLOW {
                    tell(format_args!("{past} s past the window, cold: {started}, {took:.1?}: {timing}"));
                }
                if started { &mut cold } else { &mut warm }.push((took, ours));
            }
        }
        let most = |all: &[(Duration, Duration)]| all.iter().map(|(took, _)| *took).max().unwrap_or_default();
        tell(format_args!(
            "{} requests right after the leader's death: {} met their pod, {:.1?} at most; {} waited, {:.1?} at most",
            warm.len() + cold.len(),
            warm.len(),
            most(&warm),
            cold.len(),
            most(&cold),
        ));
        // Whoever waits for the next leader waits until the Lease has run out. Many pods at once may take as long, too.
        let ours = warm.iter().chain(&cold).map(|(_, ours)| *ours).max().unwrap_or_default();
        ensure!(ours < Duration::from_secs(10), "not at once: {warm:?} {cold:?}");
        // It had come to lowering some: otherwise the kills were all too early.
        ensure!(!cold.is_empty() && !warm.is_empty(), "the kills missed the drains");
        Ok(())
    });
}

#[test]
fn a_second_operator_takes_over() {
    disturb("second", |scene, rouse| async move {
        rouse.scale(install::OPERATOR, 2).await?;
        let first = rouse.leader().await?;
        scene.function("before", json!({"scaling": {"windowSeconds": 6}})).await?;
        ensure!(scene.get("before", "/").await?.status == 200, "the function does not answer");

        let begin = Instant::now();
        rouse.kill(&first).await?;
        let second = rouse.another_leader(&first).await?;
        let lease = Duration::from_secs(15);
        tell(format_args!("a killed leader was replaced after {:.1?} (lease: {lease:?})", begin.elapsed()));
        works(&scene, "after-kill").await?;
        scene.at_zero("before").await.context("under the second leader")?;

        // Asked to end, it gives the lease up, and nobody waits for that to expire.
        rouse.settled(install::OPERATOR).await?;
        let begin = Instant::now();
        rouse.delete(&second).await?;
        rouse.another_leader(&second).await?;
        let took = begin.elapsed();
        tell(format_args!("a deleted leader was replaced after {took:.1?}"));
        ensure!(took < lease, "the lease was not given up: {took:?}");
        works(&scene, "after-delete").await
    });
}

/// The whole way: set up, woken, back at zero.
async fn works(scene: &Scene, name: &str) -> Result<()> {
    scene.function(name, json!({"scaling": {"windowSeconds": 6}})).await?;
    ensure!(scene.get(name, "/").await?.status == 200, "{name} does not answer");
    scene.at_zero(name).await
}

#[test]
fn restarts_and_upgrades_start_no_pod_of_a_function_that_was_never_woken() {
    disturb("still", |scene, rouse| async move {
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        scene.function("still", json!({})).await?;

        let leader = rouse.leader().await?;
        rouse.delete(&leader).await?;
        rouse.another_leader(&leader).await?;
        passed_over(&scene, 11).await?;
        ensure!(pods.names().is_empty(), "a restart of the operator started {:?}", pods.names());

        let chart = install::chart().display().to_string();
        let upgrade = ["upgrade", install::RELEASE, &chart, "--namespace", install::NAMESPACE, "--reuse-values"];
        let new_pods =
            ["--set-string", "operator.podAnnotations.again=1", "--set-string", "activator.podAnnotations.again=1"];
        helm(&scene, &[&upgrade[..], &new_pods, &["--wait", "--timeout", "3m"]].concat())?;
        rouse.settled(install::OPERATOR).await?;
        passed_over(&scene, 12).await?;
        ensure!(pods.names().is_empty(), "`helm upgrade` started {:?}", pods.names());

        helm(&scene, &["rollback", install::RELEASE, "--namespace", install::NAMESPACE, "--wait", "--timeout", "3m"])?;
        rouse.settled(install::OPERATOR).await?;
        passed_over(&scene, 13).await?;
        ensure!(pods.names().is_empty(), "`helm rollback` started {:?}", pods.names());
        // The record would have shown one.
        ensure!(scene.get("still", "/").await?.status == 200, "the function does not answer");
        ensure!(pods.names().len() == 1, "{:?}", pods.names());
        Ok(())
    });
}

/// A change that the operator of the moment has to take over.
async fn passed_over(scene: &Scene, max_replicas: i32) -> Result<()> {
    let changed = scene.change_function("still", json!({"scaling": {"maxReplicas": max_replicas}})).await?;
    let generation = changed.metadata.generation.context("no generation")?;
    let taken = |f: &crds::Function| f.status.as_ref().is_some_and(|s| s.observed_generation >= generation);
    scene.function_when("still", "taken over", taken).await?;
    Ok(())
}

fn helm(scene: &Scene, arguments: &[&str]) -> Result<()> {
    e2e::kube::succeed(e2e::kube::helm(&scene.cluster, arguments)?)?;
    Ok(())
}
