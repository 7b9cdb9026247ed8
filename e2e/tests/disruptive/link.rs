//! The link between activators and the leader, disturbed: packets that are lost, an activator that stands still, one that
//! dies. None of it costs a request, and nothing is lowered on half a picture (decisions 4 and 5 of the design).

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use ::kube::ResourceExt;
use anyhow::{Context, Result, anyhow, ensure};
use e2e::{
    audit, http, install,
    load::{Clock, Journal, Load, Pace, Protocol, Running, Sample, Shape},
    metrics,
    packets::Lossy,
    record::Record,
    rouse::{Rouse, address, ready},
    scene::{PATIENCE, Scene, tell, until},
};
use k8s_openapi::api::core::v1::{Event, Pod};
use serde_json::json;
use tokio::time::sleep;

use crate::installation::disturb;

const FUNCTION: &str = "f";
/// Most replicas of the function: as many as it has while it is busy.
const MOST: i32 = 4;
/// Requests a second through each activator. With two, of 175 ms each, more than three are there at once on average.
const EACH: Pace = Pace::PerSecond(10.0);
const BUSY_MS: u64 = 175;
/// With such ones a single replica is enough.
const CALM_MS: u64 = 5;
/// Its window, in seconds: the shortest that there is.
const WINDOW: i32 = 6;
/// An activator that has said nothing for so long is not heard (decision 4), in seconds.
const UNKNOWN_AFTER: f64 = 3.0;
/// From the end of a disturbance until the function is lowered to one. The activator's link has two steps of 3 s at most and a
/// pause of 2 s at most before it is heard again; then a window may have to pass, and two drains, of which each is looked at
/// and acknowledged at least once a second. That is 18 s; the rest is for a busy machine.
const AGAIN: Duration = Duration::from_secs(60);
/// How often the leader is asked whom it hears. It says so anew each second.
const ASK: Duration = Duration::from_millis(250);
/// How late a client may notice the end of an answer, in seconds.
const SLACK: f64 = 0.05;

/// Two activators that the leader hears, and a function.
struct Link {
    scene: Scene,
    rouse: Rouse,
    activators: [Pod; 2],
    leader: Pod,
    journal: Journal,
    clock: Clock,
    revision: String,
}

impl Link {
    async fn open(scene: Scene, rouse: Rouse, min: i32) -> Result<Self> {
        rouse.scale(install::ACTIVATOR, 2).await?;
        let pods = rouse.pods(install::ACTIVATOR).await?;
        let activators = pods.try_into().map_err(|pods: Vec<Pod>| anyhow!("{} activators and not two", pods.len()))?;
        let leader = rouse.leader().await?;
        let scaling = json!({
            "target": 1, "targetUtilizationPercent": 100, "windowSeconds": WINDOW, "maxReplicas": MOST, "minReplicas": min,
        });
        let function = scene.function(FUNCTION, json!({"scaling": scaling})).await?;
        let revision = function.status.context("no status")?.revision;
        let clock = Clock::start();
        let link = Self { scene, rouse, activators, leader, journal: Journal::new(clock), clock, revision };
        // What an activator counted before the leader first heard it is not the leader's to count.
        link.says("both activators are heard", |read| {
            metrics::sum(read, "rouse_activators_known") == 2.0 && metrics::sum(read, "rouse_activators_unknown") == 0.0
        })
        .await?;
        Ok(link)
    }

    /// Starts requests through one of the activators.
    async fn load(&self, name: &'static str, activator: usize, pace: Pace, millis: u64) -> Result<Running> {
        let load = Load {
            name,
            entry: address(&self.activators[activator])?,
            host: self.scene.host(FUNCTION),
            protocols: vec![Protocol::Http1, Protocol::Http2],
            pace,
            shapes: shapes(millis),
            patience: PATIENCE,
            again: false,
        };
        load.start(&self.journal).await
    }

    /// What the leader says, one of its metrics. A look that fails is made again, here and below.
    async fn said(&self, metric: &str) -> Result<f64> {
        until("the leader's metrics", PATIENCE, async || {
            Ok(metrics::of(&self.leader).await.ok().map(|read| metrics::sum(&read, metric)))
        })
        .await
    }

    /// Waits for the leader's metrics to be as `wanted` says.
    async fn says(&self, what: &str, wanted: impl Fn(&[metrics::Metric]) -> bool) -> Result<()> {
        until(what, PATIENCE, async || Ok(metrics::of(&self.leader).await.ok().filter(|read| wanted(read)).map(drop)))
            .await
    }

    /// Notes, until it is dropped, when the leader said how many activators it misses, and how many.
    async fn watch(&self, missed: &mut Vec<(f64, f64)>) -> Infallible {
        let mut tick = tokio::time::interval(ASK);
        loop {
            tick.tick().await;
            // A look that fails is one fewer.
            if let Ok(read) = metrics::of(&self.leader).await {
                missed.push((self.clock.now(), metrics::sum(&read, "rouse_activators_unknown")));
            }
        }
    }

    /// Waits for so many replicas, all of them Ready and no others.
    async fn whole(&self, replicas: i32, patience: Duration) -> Result<()> {
        until(&format!("{replicas} replicas, all Ready"), patience, async || {
            let pods = self.scene.pods(FUNCTION).await?;
            let all = pods.len() == usize::try_from(replicas)? && pods.iter().all(ready);
            Ok((all && self.scene.replicas(FUNCTION).await? == replicas).then_some(()))
        })
        .await
    }

    /// The leader's writes of fewer replicas that were done: when they reached the API server, and how many.
    fn lowerings(&self) -> Result<Vec<(f64, i64)>> {
        let mut all = audit::scalings(&self.scene.cluster, &self.scene.namespace)?;
        all.retain(|write| write.deployment == self.revision && write.accepted());
        all.sort_by_key(|write| write.answered);
        let (mut level, mut lowerings) = (0, Vec::new());
        for write in all {
            if write.by_operator() && write.replicas < level {
                lowerings.push((self.clock.of(write.received), write.replicas));
            }
            level = write.replicas;
        }
        Ok(lowerings)
    }

    /// That nothing was lowered from a disturbance on, once the leader misses the activator, until its end; and that it was
    /// after that, so that there was something to lower.
    fn lowered_only_after(&self, began: f64, ended: f64) -> Result<()> {
        let lowerings = self.lowerings()?;
        let meanwhile = |at: f64| at > began + UNKNOWN_AFTER && at < ended;
        let early: Vec<_> = lowerings.iter().filter(|(at, _)| meanwhile(*at)).collect();
        ensure!(early.is_empty(), "lowered while an activator was not heard, {began:.1} to {ended:.1} s: {early:?}");
        ensure!(lowerings.iter().any(|(at, _)| *at >= ended), "nothing was lowered after {ended:.1} s: {lowerings:?}");
        Ok(())
    }

    fn no_failures(&self) -> Result<()> {
        let all = self.journal.counted(|_| true);
        ensure!(all.failed == 0, "{} of {} requests failed: {:?}", all.failed, all.requests, all.failures);
        tell(format_args!("{} requests, none failed", all.requests));
        Ok(())
    }
}

fn shapes(millis: u64) -> Vec<Shape> {
    vec![Shape::get(millis), Shape::post(millis)]
}

/// The lowerings (moments) at which the leader missed somebody. It says whom it misses once a second: nobody was heard at a
/// lowering if it said nothing else from the last look before to the first one that is more than a second after it.
fn blind(missed: &[(f64, f64)], lowerings: &[(f64, i64)]) -> Vec<f64> {
    let moments = lowerings.iter().map(|(at, _)| *at);
    moments
        .filter(|moment| {
            let before = missed.iter().rposition(|(at, _)| at <= moment);
            let after = missed.iter().position(|(at, _)| *at > moment + 1.0 + ASK.as_secs_f64());
            let span = before.zip(after).and_then(|(before, after)| missed.get(before..=after));
            span.is_some_and(|span| span.iter().all(|(_, unknown)| *unknown > 0.0))
        })
        .collect()
}

#[test]
fn a_lowering_is_blind_if_somebody_is_missed_all_around_it() {
    let missed = |unknown: &[i32]| -> Vec<(f64, f64)> {
        unknown.iter().enumerate().map(|(look, unknown)| (look as f64 * 0.25, f64::from(*unknown))).collect()
    };
    let at = |moment| [(moment, 1_i64)];
    let always = missed(&[1; 12]);
    assert_eq!(blind(&always, &at(1.1)), [1.1]);
    assert!(blind(&always, &at(2.0)).is_empty(), "what comes after it is not known");
    assert!(blind(&missed(&[0; 12]), &at(1.1)).is_empty());
    let heard = |from: usize, to: usize| {
        let mut unknown = [1; 12];
        unknown[from..to].fill(0);
        missed(&unknown)
    };
    // It is looked at from 1.0 to 2.5 s.
    assert!(blind(&heard(4, 5), &at(1.1)).is_empty());
    assert!(blind(&heard(10, 12), &at(1.1)).is_empty());
    assert_eq!(blind(&heard(0, 4), &at(1.1)), [1.1]);
    assert_eq!(blind(&heard(11, 12), &at(1.1)), [1.1]);
}

#[test]
fn lost_packets_cost_no_request_and_an_activator_that_is_cut_off_keeps_every_pod() {
    disturb("lossy", |scene, rouse| async move {
        let link = Link::open(scene, rouse, 0).await?;
        let events = Record::<Event>::start(link.scene.api(), "").await?;
        let mut missed = Vec::new();
        let story = async {
            let loads = [link.load("cut off", 0, EACH, BUSY_MS).await?, link.load("other", 1, EACH, BUSY_MS).await?];
            let change = |millis| loads.iter().for_each(|load| load.change(shapes(millis)));
            link.whole(MOST, PATIENCE).await?;

            // Some are lost, for 20 s: whether anything is lowered meanwhile is for the leader to say.
            let lossy = Lossy::start(&link.activators[0], crds::names::LINK_PORT, 30)?;
            for (millis, seconds) in [(BUSY_MS, 4), (CALM_MS, 8), (BUSY_MS, 8)] {
                change(millis);
                sleep(Duration::from_secs(seconds)).await;
            }
            let lost = lossy.lost()?;
            ensure!(lost > 0, "no packet was lost");
            tell(format_args!("{lost} packets were lost of 30 %"));
            link.whole(MOST, PATIENCE).await?;

            // All are lost, and at the same time the load goes.
            lossy.set(100)?;
            let cut = (link.clock.now(), std::time::Instant::now());
            change(CALM_MS);
            let told = events.until("a scale-down that is blocked", PATIENCE, |seen| {
                let reason = seen.object.reason.as_deref().unwrap_or_default();
                let words = seen.object.message.as_deref().unwrap_or_default();
                seen.at > cut.1 && reason == "ScaleDownBlocked" && words.contains("1 of 2 activators")
            });
            told.await?;
            link.says("the blocked scale-down in the metrics", |read| {
                metrics::sum(read, "rouse_scale_downs_blocked") >= 1.0
                    && metrics::sum(read, "rouse_activators_unknown") == 1.0
            })
            .await?;
            ensure!(lossy.lost()? > 0, "no packet was lost");
            let ended = link.clock.now();
            lossy.heal()?;
            link.whole(1, AGAIN).await.context("packets arrive again")?;
            tell(format_args!("cut off for {:.1} s, lowered {:.1} s after", ended - cut.0, link.clock.now() - ended));
            for load in loads {
                load.end().await?;
            }
            anyhow::Ok((cut.0, ended))
        };
        let (cut, ended) = tokio::select! {
            story = story => story?,
            never = link.watch(&mut missed) => match never {},
        };
        link.lowered_only_after(cut, ended)?;
        let lowerings = link.lowerings()?;
        let blind = blind(&missed, &lowerings);
        ensure!(blind.is_empty(), "lowered at {blind:?} s with an activator unknown: {missed:?}");
        tell(format_args!("lowered {lowerings:.1?}; cut off {cut:.1} to {ended:.1} s"));
        link.no_failures()
    });
}

#[test]
fn an_activator_that_stands_still_keeps_every_pod_and_counts_right_afterwards() {
    disturb("frozen", |scene, rouse| async move {
        let link = Link::open(scene, rouse, 0).await?;
        let counter = "rouse_reported_requests_total";
        let before = link.said(counter).await?;
        let first = link.load("stands still", 0, EACH, BUSY_MS).await?;
        let other = link.load("other", 1, EACH, BUSY_MS).await?;
        link.whole(MOST, PATIENCE).await?;

        // Two of its requests are at pods when it stops, and end while it stands still.
        first.end().await?;
        let long = link.load("under way", 0, Pace::AtOnce(2), 6000).await?;
        sleep(Duration::from_secs(1)).await;
        let frozen = link.rouse.freeze(&link.activators[0])?;
        let began = link.clock.now();
        other.change(shapes(CALM_MS));
        let long = tokio::spawn(long.end());
        sleep(Duration::from_secs(5)).await;
        link.says("the activator is missed", |read| metrics::sum(read, "rouse_activators_unknown") == 1.0).await?;
        sleep(Duration::from_secs_f64((began + 10.0 - link.clock.now()).max(0.0))).await;
        let ended = link.clock.now();
        drop(frozen);
        long.await??;
        link.whole(1, AGAIN).await.context("it goes on")?;
        tell(format_args!("stood still for {:.1} s, lowered {:.1} s after", ended - began, link.clock.now() - ended));
        other.end().await?;
        link.lowered_only_after(began, ended)?;
        link.no_failures()?;

        // The last ones are told with the next report; none is told twice.
        let sent = link.journal.so_far().0 as f64;
        link.says("all requests are reported", |read| metrics::sum(read, counter) - before >= sent).await?;
        sleep(Duration::from_secs(2)).await;
        let counted = link.said(counter).await? - before;
        ensure!(counted == sent, "{sent} requests were sent, and the leader counted {counted}");
        tell(format_args!("the leader counted all {counted} requests"));
        Ok(())
    });
}

#[test]
fn an_activator_that_dies_in_the_middle_of_a_drain_costs_no_request_of_the_others() {
    disturb("killed", |scene, rouse| async move {
        let link = Link::open(scene, rouse, MOST).await?;
        let pods = Record::<Pod>::start(link.scene.api(), "").await?;
        link.whole(MOST, PATIENCE).await?;
        // Through the other one alone: what is in flight in the one that dies is lost with it. One at each pod, and some
        // beside them that go on.
        let long = link.load("long", 1, Pace::AtOnce(usize::try_from(MOST)?), 12_000).await?;
        sleep(Duration::from_millis(500)).await;
        let long = tokio::spawn(long.end());
        let other = link.load("other", 1, EACH, CALM_MS).await?;
        link.scene.change_function(FUNCTION, json!({"scaling": {"minReplicas": 1, "maxReplicas": 1}})).await?;
        link.says("a drain is under way", |read| metrics::sum(read, "rouse_functions_draining") == 1.0).await?;
        link.rouse.crash(&link.activators[0])?;
        let died = link.clock.now();
        ensure!(link.lowerings()?.is_empty(), "it was lowered before the activator died: nothing is proved");
        long.await??;
        link.whole(1, PATIENCE).await.context("without the activator that died")?;
        let took = link.clock.now() - died;
        link.rouse.settled(install::ACTIVATOR).await?;
        link.says("both are heard again", |read| metrics::sum(read, "rouse_activators_known") == 2.0).await?;
        let again = http::get(address(&link.activators[0])?, &link.scene.host(FUNCTION), "/", PATIENCE).await?;
        ensure!(again.status == 200, "the activator that had died: {} {}", again.status, again.text());
        other.end().await?;

        let lowerings = link.lowerings()?;
        ensure!(lowerings.iter().map(|(_, to)| *to).eq([1]), "lowered in other steps than to one: {lowerings:?}");
        let went = undrained(&pods, &link)?;
        ensure!(went.is_empty(), "pods went with requests at them: {went:?}");
        tell(format_args!("lowered {lowerings:.1?}, {took:.1} s after the activator died at {died:.1} s"));
        link.no_failures()
    });
}

/// The pods that went, by when that was seen, of which a request had not ended then. There must be three that went.
fn undrained(pods: &Record<Pod>, link: &Link) -> Result<Vec<(String, f64)>> {
    let mut deleted: BTreeMap<String, f64> = BTreeMap::new();
    pods.each(|seen| {
        if seen.gone || seen.object.metadata.deletion_timestamp.is_some() {
            deleted.entry(seen.object.name_any()).or_insert_with(|| link.clock.seconds(seen.at));
        }
    });
    ensure!(deleted.len() == usize::try_from(MOST - 1)?, "{} pods went: {deleted:?}", deleted.len());
    let at = |sample: &Sample, pod: &str| sample.pod.as_deref() == Some(pod);
    let busy = link.journal.samples(|sample| sample.load == "long" && deleted.keys().any(|pod| at(sample, pod)));
    ensure!(!busy.is_empty(), "no long request was at a pod that went: nothing is proved");
    let later = |pod: &str, went: f64| !link.journal.samples(|s| at(s, pod) && s.ended > went + SLACK).is_empty();
    Ok(deleted.into_iter().filter(|(pod, went)| later(pod, *went)).collect())
}
