//! The leader dies, and hangs, and comes back with what it believed; an activator is lost for good.

use std::time::{Duration, Instant};

use ::kube::{Api, ResourceExt};
use anyhow::{Context, Result};
use crds::names;
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;

use super::{
    observed::Observed,
    report::Report,
    stage::Stage,
    terms::{Found, Order, Term, belated},
};
use crate::{
    audit, http, install,
    load::{Load, Pace, Running, Shape},
    record::Record,
    rouse::address,
    scene::{PATIENCE, until},
};

/// Functions that go to zero and wake again all the time, so that a leader always has something to lower.
const NAPPING: usize = 8;
/// Their idle window, in seconds.
const WINDOW: i32 = 6;
/// How often each is called, in seconds: it is at zero by then.
const EVERY: f64 = 10.0;
/// Longest takeover, in seconds.
const TAKEOVER: f64 = 20.0;
/// How long a leader leads before it is disturbed: a new one lowers nothing for the length of a window, and then it must have
/// something under way. To this comes a part that differs each time, so that functions are met at other points of their naps.
const LEADS: Duration = Duration::from_secs(8);
/// How long a frozen leader stays frozen once another one leads: long enough for that one to lower something.
const BEYOND: Duration = Duration::from_secs(15);
/// How long a thawed one has to write what it believes.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// An activator whose pod is gone no longer counts: from then on the window, and this much, in seconds.
const LOST: f64 = 10.0;
/// One that hangs counts for a minute after it is not Ready, which the kubelet needs some seconds to say.
const HANGING: f64 = 60.0 + 30.0;

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    stage.rouse.scale(install::OPERATOR, 2).await?;
    let leases: Api<Lease> = Api::namespaced(stage.scene.client.clone(), install::NAMESPACE);
    let leases = Record::start(leases, "").await?;
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;
    let traffic = traffic(stage).await?;

    let mut killed = Vec::new();
    let rounds = stage.much(30, 3);
    let step = stage.long(format!("the leader killed {rounds} times"), rounds * 28);
    step.of(rounds);
    for round in 0..rounds {
        stage.watch(&step, LEADS + Duration::from_millis(round * 370 % 2900)).await;
        let leader = stage.rouse.leader().await?;
        let began = Instant::now();
        stage.rouse.kill(&leader).await?;
        stage.rouse.another_leader(&leader).await?;
        killed.push(began.elapsed().as_secs_f64());
        stage.rouse.settled(install::OPERATOR).await?;
        step.advance();
    }
    step.done("");

    let mut frozen = Vec::new();
    let rounds = stage.much(10, 2);
    let step = stage.long(format!("the leader frozen {rounds} times"), rounds * 48);
    step.of(rounds);
    for round in 0..rounds {
        stage.watch(&step, LEADS + Duration::from_millis(round * 370 % 2900)).await;
        frozen.push(freeze(stage).await?);
        step.advance();
    }
    step.done("");
    for load in traffic {
        load.end().await?;
    }

    for (how, took) in [("killed", killed), ("frozen", frozen)] {
        let worst = took.iter().copied().fold(0.0, f64::max);
        let seen = format!("at most {worst:.1} s in {} times", took.len());
        report.check(
            format!("takeover after the leader was {how}"),
            format!("≤ {TAKEOVER} s"),
            seen,
            worst <= TAKEOVER,
        );
        report.figures(format!("takeover, leader {how}"), "s", took);
    }
    ex_leaders(stage, report, &leases)?;
    stage.no_failures(report);
    activator_lost(stage, report).await?;
    observed.tell(report);
    report.leave_out("takeover: from the signal until another pod holds the Lease, is Ready, and serves the link that the Lease names");
    report.leave_out(
        "requests in flight in the activator that is lost: they are lost with it, so none is sent through it then",
    );
    Ok(())
}

/// One request to each function every ten seconds, one after another, and a function that is never left alone.
async fn traffic(stage: &Stage) -> Result<Vec<Running>> {
    let spec = || json!({"scaling": {"windowSeconds": WINDOW}});
    stage.function("busy", spec()).await?;
    let busy = vec![Shape::get(100), Shape::post(100)];
    let mut all = vec![stage.load("busy", "busy", Pace::PerSecond(10.0), busy).start(&stage.journal).await?];
    for number in 0..NAPPING {
        let name = format!("nap-{number}");
        stage.function(&name, spec()).await?;
        let load = stage.load("naps", &name, Pace::PerSecond(1.0 / EVERY), vec![Shape::get(50), Shape::post(50)]);
        all.push(load.start(&stage.journal).await?);
        tokio::time::sleep(Duration::from_secs_f64(EVERY / NAPPING as f64)).await;
    }
    Ok(all)
}

/// Freezes the leader until another one has led for a while, and lets it go on. Gives the takeover in seconds.
async fn freeze(stage: &Stage) -> Result<f64> {
    let leader = stage.rouse.leader().await?;
    let began = Instant::now();
    let frozen = stage.rouse.freeze(&leader)?;
    stage.rouse.another_leader(&leader).await?;
    let took = began.elapsed().as_secs_f64();
    tokio::time::sleep(BEYOND).await;
    drop(frozen);
    tokio::time::sleep(AFTERWARDS).await;
    stage.rouse.settled(install::OPERATOR).await?;
    Ok(took)
}

fn ex_leaders(stage: &Stage, report: &mut Report, leases: &Record<Lease>) -> Result<()> {
    let mut terms: Vec<Term> = Vec::new();
    leases.each(|seen| {
        let holder = seen.object.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        // POD_RUN; a pod's name has no underscore.
        let pod = holder.split('_').next().unwrap_or_default();
        let holds = seen.object.name_any() == names::LEASE && !pod.is_empty();
        if holds && terms.last().is_none_or(|term| term.pod != pod) {
            terms.push(Term { began: stage.clock.seconds(seen.at), pod: pod.to_owned() });
        }
    });
    let writes = audit::scalings(&stage.scene.cluster, &stage.scene.namespace)?;
    let accepted = writes.iter().filter(|write| write.accepted());
    let orders: Vec<Order> = accepted
        .map(|write| Order {
            at: stage.clock.of(write.answered),
            deployment: write.deployment.clone(),
            pod: if write.by_operator() { write.pod.clone() } else { String::new() },
            replicas: write.replicas,
        })
        .collect();
    let nameless = writes.iter().filter(|write| write.by_operator() && write.pod.is_empty()).count();
    let Found { lowering, busy, late } = belated(&terms, &orders);
    report.check(
        "lowering writes of /scale by an ex-leader after its successor's",
        "0, with lowering writes in at least three of four terms",
        format!("{} of {lowering}, in {} of {} terms", late.len(), busy.len(), terms.len()),
        late.is_empty() && nameless == 0 && busy.len() * 4 >= terms.len() * 3,
    );
    report.figure("refused writes of /scale by the operator", "writes", {
        writes.iter().filter(|write| write.by_operator() && !write.accepted()).count() as f64
    });
    report.series("terms", &terms);
    report.series("orders", &orders);
    report.series("belated", &late);
    Ok(())
}

/// Two activators; one of them is lost, and functions that both have served must go to zero all the same.
async fn activator_lost(stage: &Stage, report: &mut Report) -> Result<()> {
    for (name, what, bound) in [("killed", "killed for good", LOST), ("hanging", "frozen", HANGING)] {
        let step = stage.long(format!("an activator {what}"), 60);
        stage.function(name, json!({"scaling": {"windowSeconds": WINDOW}})).await?;
        stage.rouse.scale(install::ACTIVATOR, 2).await?;
        let pods = stage.rouse.pods(install::ACTIVATOR).await?;
        for pod in &pods {
            let answer = http::get(address(pod)?, &stage.scene.host(name), "/", PATIENCE).await?;
            anyhow::ensure!(answer.status == 200, "{name} is answered {}", answer.status);
        }
        let [victim, survivor] = pods.as_slice() else { anyhow::bail!("{} activators and not two", pods.len()) };
        // The survivor goes on to serve: warm while the other is missed, and cold afterwards.
        let load = stage.load("survivor", name, Pace::PerSecond(5.0), vec![Shape::get(50)]);
        let running = Load { entry: address(survivor)?, ..load }.start(&stage.journal).await?;
        tokio::time::sleep(Duration::from_secs(3)).await;
        let frozen = if name == "hanging" {
            Some(stage.rouse.freeze(victim)?)
        } else {
            stage.rouse.kill_for_good(install::ACTIVATOR, victim).await?;
            None
        };
        tokio::time::sleep(Duration::from_secs(3)).await;
        running.end().await?;
        let quiet = Instant::now();
        let patience = Duration::from_secs_f64(f64::from(WINDOW) + bound + 120.0);
        let zero = until("the function is at zero", patience, async || {
            Ok((stage.scene.replicas(name).await? == 0).then(|| quiet.elapsed().as_secs_f64()))
        });
        let took = zero.await.with_context(|| format!("with an activator {what}"))?;
        drop(frozen);
        let bound = bound + f64::from(WINDOW);
        let seen = format!("after {took:.1} s");
        report.check(format!("to zero with an activator {what}"), format!("≤ {bound} s"), &seen, took <= bound);
        report.figure(format!("last request to zero, an activator {what}"), "s", took);
        let answer = http::get(address(survivor)?, &stage.scene.host(name), "/", PATIENCE).await?;
        report.check(format!("woken afterwards, an activator {what}"), "200", answer.status, answer.status == 200);
        stage.rouse.settled(install::ACTIVATOR).await?;
        step.done(&seen);
    }
    let lost = stage.journal.counted(|sample| sample.load == "survivor");
    report.check(
        "failed requests through the surviving activator",
        "0",
        lost.failed,
        lost.failed == 0 && lost.requests > 0,
    );
    Ok(())
}
