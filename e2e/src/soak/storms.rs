//! Every exchange with every pod breaks: retries stay within their budget, and make nothing worse.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::{report::Report, stage::Stage};
use crate::{
    http, install,
    load::{Pace, Shape},
    metrics,
    scene::{PATIENCE, until},
};

const REPLICAS: usize = 3;
/// Requests a second. The budget is a fifth of what is answered, which is nothing here, and ten a second: from 60 a second on
/// that is a fifth at most. The first is the worst, the second an ordinary load.
const RATES: [(f64, &str); 2] = [(60.0, "60 a second"), (200.0, "200 a second")];
/// Sendings for each request, at most.
const ATTEMPTS: f64 = 1.2;
const RETRIES: &str = "rouse_activator_function_retries_total";

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    // In a shorter time the first hundred weigh more.
    for (number, (rate, name)) in RATES.into_iter().enumerate().skip(stage.much(0, 1)) {
        storm(stage, report, &format!("storm-{number}"), rate, name).await?;
    }
    report.leave_out("POSTs: they are not sent again when a pod may have had them, so all are GETs");
    Ok(())
}

async fn storm(stage: &Stage, report: &mut Report, function: &str, rate: f64, name: &'static str) -> Result<()> {
    let scaling = json!({"minReplicas": REPLICAS, "maxReplicas": REPLICAS});
    stage.function(function, json!({"scaling": scaling})).await?;
    stage.serving(function, REPLICAS).await?;
    let pods = stage.scene.pods(function).await?;
    let seconds = stage.much(60, 20);
    let step = stage.long(format!("every exchange breaks, {name}"), seconds);
    let load = stage.load(name, function, Pace::PerSecond(rate), vec![Shape::get(5)]).start(&stage.journal).await?;
    // Credit from before is part of it.
    stage.watch(&step, Duration::from_secs(10)).await;
    ensure!(stage.journal.counted(|sample| sample.load == name).failed == 0, "requests failed before the storm");

    let began = stage.clock.now();
    let before = retries(stage, function).await?;
    for pod in &pods {
        let path = format!("/spoil?as=reset&ms={}", (seconds + 600) * 1000);
        ensure!(ask(pod, &path).await? == "spoilt", "a pod does not go bad");
    }
    stage.watch(&step, Duration::from_secs(seconds)).await;
    // A little before the end, so that it is not over for one of those.
    let ended = stage.clock.now();
    let mut exchanges = 0.0;
    for pod in &pods {
        exchanges += ask(pod, "/spoilt").await?.parse::<f64>()?;
    }
    let retried = retries(stage, function).await? - before;
    for pod in &pods {
        ask(pod, "/spoil?as=reset&ms=0").await?;
    }
    until("requests are answered again", PATIENCE, async || {
        let now =
            stage.journal.samples(|sample| sample.load == name && sample.sent > ended && sample.failure.is_none());
        Ok((now.len() > 10).then_some(()))
    })
    .await?;
    load.end().await?;
    step.done("");

    let met = stage.journal.samples(|sample| sample.load == name && sample.ended > began && sample.ended <= ended);
    let answered = met.iter().filter(|sample| sample.failure.is_none()).count();
    let requests = met.len() as f64;
    report.check(
        format!("{name}: requests in {seconds} s, none of them answered"),
        format!("≥ {:.0}, ≤ 1 % answered", rate * seconds as f64 * 0.95),
        format!("{requests}, {answered} answered"),
        requests >= rate * seconds as f64 * 0.95 && answered * 100 <= met.len(),
    );
    for (by, attempts) in [("the activator's metrics", requests + retried), ("the pods", exchanges)] {
        let each = attempts / requests.max(1.0);
        // The pods would have seen each request once, if nothing were sent again and nobody refused.
        report.check(
            format!("{name}: sendings for each request, by {by}"),
            format!("≤ {ATTEMPTS}"),
            format!("{each:.3}, {attempts} in all"),
            each <= ATTEMPTS && retried > 0.0,
        );
    }
    Ok(())
}

async fn retries(stage: &Stage, function: &str) -> Result<f64> {
    let mut all = 0.0;
    for pod in stage.rouse.pods(install::ACTIVATOR).await? {
        let read = metrics::of(&pod).await?;
        all += read
            .iter()
            .filter(|metric| metric.name == RETRIES && metric.is_of(function))
            .map(|metric| metric.value)
            .sum::<f64>();
    }
    Ok(all)
}

async fn ask(pod: &Pod, path: &str) -> Result<String> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("no IP")?;
    let answer = http::get(SocketAddr::new(ip.parse()?, 8080), ip, path, PATIENCE).await?;
    ensure!(answer.status == 200, "the pod says {} {}", answer.status, answer.text());
    Ok(answer.text().trim().to_owned())
}
