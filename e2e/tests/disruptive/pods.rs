//! Pods that go bad among others of their function: frozen, breaking every exchange, answering what is no HTTP, gone from the
//! network. They are left alone for a while, the others go on unharmed, and they come back.

use std::{collections::BTreeSet, time::Duration};

use ::kube::ResourceExt;
use anyhow::{Context, Result, ensure};
use e2e::{
    http, install,
    load::{Clock, Journal, Load, Pace, Protocol, Running, Sample, Shape},
    metrics,
    packets::Vanished,
    rouse::{Rouse, address, ready},
    scene::{PATIENCE, Scene, tell, until},
};

use ::http::Method;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::time::sleep;

use crate::installation::disturb;

const FUNCTION: &str = "f";
const REPLICAS: usize = 4;
const RATE: f64 = 100.0;
/// Eight at once: two at each.
const REQUEST_MS: u64 = 80;
/// How long a pod is bad: for two looks at it at least, and for less than a request may take.
const BAD: Duration = Duration::from_secs(14);
/// Requests that may fail at a pod which breaks them: five in a row until it is left alone, those that are there meanwhile, and
/// one each time that it is tried again. Here and below [`Seen::bunched`] comes on top.
const BROKEN: usize = 12;
/// Requests that may be at a pod when it stands still, and on each further trial: they wait there.
const CAUGHT: usize = 40;
/// Requests at once that are usual, or little more than that.
const USUAL: usize = 16;
/// One that took longer was caught, in milliseconds.
const LONG: f64 = 2000.0;
const RETRIES: &str = "rouse_activator_retries_total";
const EJECTIONS: &str = "rouse_activator_ejections_total";

/// What became of the load while a pod was bad.
struct Seen<T> {
    /// What failed.
    failed: Vec<Sample>,
    /// What took long.
    late: Vec<Sample>,
    /// Requests that may have been at the bad pod though none would have been at the rate of the load: a machine that stands
    /// still, or has others to serve, makes many of them be there at once, both when the pod goes bad and when it is tried again.
    bunched: usize,
    /// What was told by whoever made it bad.
    told: T,
}

/// A function with four replicas under load.
struct Four {
    scene: Scene,
    rouse: Rouse,
    activator: Pod,
    pods: Vec<Pod>,
    journal: Journal,
    load: Running,
}

impl Four {
    async fn open(scene: Scene, rouse: Rouse) -> Result<Self> {
        let scaling = json!({"minReplicas": REPLICAS, "maxReplicas": REPLICAS});
        scene.function(FUNCTION, json!({"scaling": scaling})).await?;
        let pods = until("all replicas serve", PATIENCE, async || {
            let pods = scene.pods(FUNCTION).await?;
            Ok((pods.len() == REPLICAS && pods.iter().all(ready)).then_some(pods))
        })
        .await?;
        let activator = rouse.pods(install::ACTIVATOR).await?.into_iter().next().context("no activator")?;
        let load = Load {
            name: "flow",
            entry: address(&activator)?,
            host: scene.host(FUNCTION),
            protocols: vec![Protocol::Http1, Protocol::Http2],
            pace: Pace::PerSecond(RATE),
            shapes: vec![Shape::get(REQUEST_MS), Shape::post(REQUEST_MS)],
            patience: PATIENCE,
            again: false,
        };
        let journal = Journal::new(Clock::start());
        let load = load.start(&journal).await?;
        let four = Self { scene, rouse, activator, pods, journal, load };
        four.serve(&four.pods.iter().map(ResourceExt::name_any).collect()).await?;
        Ok(four)
    }

    /// Waits until each of these pods has answered a request that was sent after now.
    async fn serve(&self, pods: &BTreeSet<String>) -> Result<()> {
        let now = self.journal.clock().now();
        until(&format!("{pods:?} answer"), PATIENCE * 2, async || {
            let answered = self.journal.samples(|sample| sample.sent > now && sample.failure.is_none());
            let by: BTreeSet<String> = answered.into_iter().filter_map(|sample| sample.pod).collect();
            Ok(by.is_superset(pods).then_some(()))
        })
        .await
    }

    async fn counted(&self, sign: &str) -> Result<f64> {
        until("the activator's metrics", PATIENCE, async || {
            Ok(metrics::of(&self.activator).await.ok().map(|read| metrics::sum(&read, sign)))
        })
        .await
    }

    /// Does something to the pod, and waits for it to serve again. `sign`: of what the activator must count more.
    async fn over<T>(self, pod: &Pod, sign: &str, bad: impl AsyncFnOnce(&Self) -> Result<T>) -> Result<Seen<T>> {
        let before = self.counted(sign).await?;
        let told = bad(&self).await?;
        ensure!(self.counted(sign).await? > before, "{sign} is not more");
        self.serve(&BTreeSet::from([pod.name_any()])).await.context("it did not come back")?;
        let (scene, journal) = (self.scene, self.journal);
        self.load.end().await?;
        ensure!(scene.replicas(FUNCTION).await? == i32::try_from(REPLICAS)?, "scaling took notice");
        let all = journal.samples(|_| true);
        let failed: Vec<Sample> = all.iter().filter(|sample| sample.failure.is_some()).cloned().collect();
        let late: Vec<Sample> = all.iter().filter(|sample| sample.took_ms() > LONG).cloned().collect();
        let bunched = 2 * at_once(&all, &pod.name_any()).saturating_sub(USUAL);
        tell(format_args!(
            "{} requests, {} failed, {} took longer than {LONG} ms; {bunched} more may have",
            all.len(),
            failed.len(),
            late.len()
        ));
        Ok(Seen { failed, late, bunched, told })
    }
}

/// How many requests were under way at one moment, at most, whatever became of those at this pod: twice the POSTs at the others,
/// which are half of all, and wait for no bad pod.
fn at_once(all: &[Sample], bad: &str) -> usize {
    let others = |sample: &&Sample| {
        sample.method == Method::POST && sample.failure.is_none() && sample.pod.as_deref() != Some(bad)
    };
    let mut steps: Vec<(f64, bool)> =
        all.iter().filter(others).flat_map(|sample| [(sample.due, true), (sample.ended, false)]).collect();
    steps.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut now, mut most) = (0_usize, 0_usize);
    for (_, begins) in steps {
        now = if begins { now + 1 } else { now.saturating_sub(1) };
        most = most.max(now);
    }
    2 * most
}

#[test]
fn requests_at_once_are_counted_by_the_posts_at_other_pods() {
    let sample = |method: Method, pod: &str, due: f64, ended: f64| Sample {
        method,
        pod: Some(pod.to_owned()),
        due,
        ended,
        ..Sample::default()
    };
    let post = |pod: &str, due: f64, ended: f64| sample(Method::POST, pod, due, ended);
    let all = [
        post("a", 0.0, 1.0),
        post("b", 0.5, 2.0),
        post("a", 1.5, 3.0),
        post("bad", 0.0, 9.0),
        sample(Method::GET, "a", 0.0, 9.0),
        Sample { failure: Some("502".to_owned()), ..post("a", 0.0, 9.0) },
    ];
    assert_eq!(at_once(&all, "bad"), 4);
    assert_eq!(at_once(&[], "bad"), 0);
}

/// GETs that the pod answered once it was itself again, at the moment `back`, though they had been sent long before.
fn waited(late: &[Sample], pod: &Pod, back: f64) -> usize {
    let name = pod.name_any();
    let there = |sample: &&Sample| sample.method == Method::GET && sample.pod.as_deref() == Some(name.as_str());
    late.iter().filter(there).filter(|sample| sample.sent + LONG / 1e3 < back && sample.ended > back).count()
}

fn why(samples: &[Sample]) -> String {
    let reasons: BTreeSet<_> = samples.iter().filter_map(|sample| sample.failure.clone()).collect();
    format!("{} failed: {reasons:?}", samples.len())
}

fn gets(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| sample.method == Method::GET).count()
}

/// Tells a pod itself to be bad.
async fn spoil(pod: &Pod, how: &str) -> Result<()> {
    let path = format!("/spoil?as={how}&ms={}", BAD.as_millis());
    let answer = http::get(port(pod)?, "pod", &path, PATIENCE).await?;
    ensure!(answer.status == 200, "the pod does not go bad: {} {}", answer.status, answer.text());
    Ok(())
}

/// How many exchanges a pod has spoilt.
async fn spoilt(pod: &Pod) -> Result<u64> {
    Ok(http::get(port(pod)?, "pod", "/spoilt", PATIENCE).await?.text().trim().parse()?)
}

fn port(pod: &Pod) -> Result<std::net::SocketAddr> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no IP")?;
    Ok(std::net::SocketAddr::new(ip.parse()?, 8080))
}

#[test]
fn a_frozen_pod_keeps_only_what_it_had() {
    disturb("frozen", |scene, rouse| async move {
        let four = Four::open(scene, rouse).await?;
        let pod = four.pods[0].clone();
        let Seen { failed, late, bunched, told: back } = four
            .over(&pod, EJECTIONS, async |four| {
                let frozen = four.rouse.freeze(&pod)?;
                sleep(BAD).await;
                let back = four.journal.clock().now();
                drop(frozen);
                Ok(back)
            })
            .await?;
        // What may not be sent again is answered when it goes on.
        ensure!(failed.is_empty(), "{}", why(&failed));
        ensure!(late.len() <= CAUGHT + bunched, "{} requests waited at it", late.len());
        ensure!(waited(&late, &pod, back) == 0, "a GET waited until the pod went on");
        Ok(())
    });
}

#[test]
fn a_pod_that_has_vanished_fails_nothing_that_can_be_sent_again() {
    disturb("vanished", |scene, rouse| async move {
        let four = Four::open(scene, rouse).await?;
        let pod = four.pods[0].clone();
        let Seen { failed, late, bunched, told: back } = four
            .over(&pod, RETRIES, async |four| {
                let vanished = Vanished::start(&pod)?;
                sleep(BAD).await;
                let back = four.journal.clock().now();
                drop(vanished);
                Ok(back)
            })
            .await?;
        ensure!(gets(&failed) == 0 && failed.len() <= CAUGHT + bunched, "{}", why(&failed));
        ensure!(late.len() <= CAUGHT + bunched, "{} requests waited for it", late.len());
        ensure!(waited(&late, &pod, back) == 0, "a GET waited until the pod came back");
        Ok(())
    });
}

#[test]
fn a_pod_that_breaks_every_exchange_fails_nothing_that_can_be_sent_again() {
    disturb("resets", |scene, rouse| async move {
        let four = Four::open(scene, rouse).await?;
        let pod = four.pods[0].clone();
        let Seen { failed, bunched, .. } = four
            .over(&pod, EJECTIONS, async |_| {
                spoil(&pod, "reset").await?;
                sleep(BAD).await;
                Ok(())
            })
            .await?;
        ensure!(spoilt(&pod).await? > 0, "it was not bad");
        ensure!(gets(&failed) == 0 && failed.len() <= BROKEN + bunched, "{}", why(&failed));
        Ok(())
    });
}

#[test]
fn a_pod_that_answers_garbage_is_left_alone() {
    disturb("garbage", |scene, rouse| async move {
        let four = Four::open(scene, rouse).await?;
        let pod = four.pods[0].clone();
        let Seen { failed, bunched, .. } = four
            .over(&pod, EJECTIONS, async |_| {
                spoil(&pod, "garbage").await?;
                sleep(BAD).await;
                Ok(())
            })
            .await?;
        // An answer is an answer: none of them is sent again.
        ensure!(!failed.is_empty() && failed.len() <= BROKEN + bunched, "{}", why(&failed));
        Ok(())
    });
}

#[test]
fn half_of_the_pods_are_left_alone_at_most() {
    disturb("most", |scene, rouse| async move {
        let four = Four::open(scene, rouse).await?;
        let bad = four.pods[..3].to_vec();
        four.over(&bad[0], EJECTIONS, async |_| {
            for pod in &bad {
                spoil(pod, "reset").await?;
            }
            sleep(BAD).await;
            Ok(())
        })
        .await?;
        let mut counts = Vec::new();
        for pod in &bad {
            counts.push(spoilt(pod).await?);
        }
        tell(format_args!("exchanges at three bad pods of four: {counts:?}"));
        // With no more left alone, the third one stays in use: it is quick to fail, and so the least busy one.
        ensure!(counts.iter().any(|count| *count > 5 * BROKEN as u64), "all three were left alone: {counts:?}");
        Ok(())
    });
}
