//! Without the API server: what is warm goes on, what is cold waits or is told when to come again, and afterwards nothing
//! has been forgotten.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use http::{Request, header::HOST};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use super::{observed::Observed, report::Report, stage::Stage};
use crate::{
    audit,
    cluster::Cluster,
    http::{self as client, Answer},
    install,
    load::{Load, Pace, Running, Shape},
    node::{Component, Node, Outage},
    scene::{PATIENCE, until},
};

/// Requests a second to a function that is busy, and to each of those that have a replica whatever comes.
const BUSY: f64 = 268.0;
const RESTING: usize = 6;
const EACH: f64 = 5.0;
/// And to one that is called so seldom that an idle window of 6 s is nearly over each time.
const TRICKLE: f64 = 0.25;
const REQUEST_MS: u64 = 20;
const WINDOW: i32 = 6;
/// Functions at zero, of each kind.
const COLD: usize = 3;
/// When they are called, from the beginning of an outage.
const CALLED: Duration = Duration::from_secs(5);
/// `coldStartSeconds`: shorter than the outage, and longer.
const BRIEF: u64 = 10;
const PATIENT: u64 = 300;
/// The answer of one that gives up comes this much later at most: the requests of an API server that is frozen have
/// deadlines of their own.
const TOLD: f64 = BRIEF as f64 + 5.0;
/// From the API server's return to the wakes of those that wait, in seconds.
const WOKEN: f64 = 5.0;
/// Of the answer where Kubernetes has no node for a pod.
const NO_NODE: &str = "No node takes the pod";
/// A Trigger's host and path.
const HOST_NAME: &str = "apiserver.soak.test";

/// How the API server is taken away.
const KINDS: [&str; 2] = ["killed", "frozen"];

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let Cluster::Node(node) = &stage.scene.cluster else {
        bail!("only the API server of a node of ours can be taken away")
    };
    functions(stage).await?;
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;
    for kind in KINDS {
        asleep(stage).await?;
        outage(stage, report, node, kind).await?;
    }
    stage.no_failures(report);
    let broke = stage.journal.samples(|sample| sample.broke.is_some()).len();
    report.check("requests that broke before their answer", "0", broke, broke == 0);
    awake(stage, report)?;
    observed.tell(report);
    report.leave_out(
        "what Kubernetes itself does without its API server: kubelet and kube-proxy go on with what they know",
    );
    Ok(())
}

async fn functions(stage: &Stage) -> Result<()> {
    let window = json!({"windowSeconds": WINDOW});
    stage.function("busy", json!({"scaling": window})).await?;
    stage.function("trickle", json!({"scaling": window})).await?;
    for number in 0..RESTING {
        stage.function(&format!("resting-{number}"), json!({"scaling": {"minReplicas": 1}})).await?;
    }
    for number in 0..COLD {
        for (kind, seconds) in [("brief", BRIEF), ("patient", PATIENT)] {
            let timeouts = json!({"coldStartSeconds": seconds});
            stage.function(&format!("{kind}-{number}"), json!({"scaling": window, "timeouts": timeouts})).await?;
        }
    }
    let trigger = json!({"functionRef": {"name": "resting-0"}, "http": {"hosts": [HOST_NAME]}});
    stage.scene.apply_trigger("route", trigger).await?;
    for number in 0..RESTING {
        stage.serving(&format!("resting-{number}"), 1).await?;
    }
    until("the Trigger's route", PATIENCE, async || {
        let answer = client::get(stage.scene.entry, HOST_NAME, "/", PATIENCE).await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await
}

fn cold() -> impl Iterator<Item = (&'static str, String)> {
    (0..COLD).flat_map(|number| ["brief", "patient"].map(|kind| (kind, format!("{kind}-{number}"))))
}

async fn asleep(stage: &Stage) -> Result<()> {
    for (_, name) in cold() {
        stage.scene.at_zero(&name).await?;
    }
    Ok(())
}

/// The requests that must not notice, 300 a second.
async fn warm(stage: &Stage) -> Result<Vec<Running>> {
    let shapes = || vec![Shape::get(REQUEST_MS), Shape::post(REQUEST_MS)];
    let mut loads = vec![
        stage.load("busy", "busy", Pace::PerSecond(BUSY), shapes()),
        stage.load("trickle", "trickle", Pace::PerSecond(TRICKLE), shapes()),
    ];
    for number in 0..RESTING {
        loads.push(stage.load("resting", &format!("resting-{number}"), Pace::PerSecond(EACH), shapes()));
    }
    let route = stage.load("route", "", Pace::PerSecond(2.0), vec![Shape::get(REQUEST_MS)]);
    loads.push(Load { host: HOST_NAME.to_owned(), ..route });
    let mut running = Vec::new();
    for load in loads {
        // For connections that are refused; a request that breaks is told of all the same.
        running.push(Load { again: true, ..load }.start(&stage.journal).await?);
    }
    Ok(running)
}

/// What became of a request to a function at zero. Times are seconds from the beginning of the outage.
#[derive(Clone, Debug, Serialize)]
struct Cold {
    function: String,
    kind: &'static str,
    answered: f64,
    status: u16,
    retry_after: Option<String>,
    /// Where the time went, by `Server-Timing`.
    timing: Option<String>,
    text: String,
}

async fn outage(stage: &Stage, report: &mut Report, node: &Node, kind: &'static str) -> Result<()> {
    let seconds = stage.much(60, 25);
    let loads = warm(stage).await?;
    let step = stage.long(format!("the API server {kind} for {seconds} s"), seconds + 30);
    stage.watch(&step, Duration::from_secs(5)).await;
    let began = stage.clock.now();
    let outage = begin(node, kind).await?;
    stage.watch(&step, CALLED).await;
    let mut waiting = JoinSet::new();
    for (kind, name) in cold() {
        let (entry, host, clock) = (stage.scene.entry, stage.scene.host(&name), stage.clock);
        waiting.spawn(async move {
            let request = Request::get("/").header(HOST, host).body(Full::default())?;
            let Answer { status, headers, body, .. } =
                client::send(entry, request, Duration::from_secs(PATIENT + 30)).await?;
            let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
            let (retry_after, timing) = (text("retry-after"), text("server-timing"));
            let text = String::from_utf8_lossy(&body).chars().take(300).collect();
            anyhow::Ok(Cold { function: name, kind, answered: clock.now() - began, status, retry_after, timing, text })
        });
    }
    let rest = began + Duration::from_secs(seconds).as_secs_f64() - stage.clock.now();
    stage.watch(&step, Duration::from_secs_f64(rest.max(0.0))).await;
    let asked = tokio::time::timeout(Duration::from_secs(2), stage.scene.client.apiserver_version()).await;
    ensure!(!matches!(asked, Ok(Ok(_))), "the API server answered while it was {kind}");
    end(outage).await?;
    ready(stage).await?;
    let ended = stage.clock.now() - began;
    let mut answers = Vec::new();
    while let Some(answer) = waiting.join_next().await {
        answers.push(answer?.context("a request to a function at zero")?);
    }
    stage.watch(&step, Duration::from_secs(10)).await;
    for load in loads {
        load.end().await?;
    }
    step.done("");
    let woken = woken(stage, began)?;
    tell(report, kind, ended, &answers, &woken);
    remembered(stage, report, kind).await
}

async fn begin(node: &Node, kind: &str) -> Result<Outage> {
    let (node, frozen) = (node.clone(), kind == "frozen");
    let taken = move || if frozen { node.freeze(Component::Apiserver) } else { node.kill(Component::Apiserver) };
    tokio::task::spawn_blocking(taken).await?
}

async fn end(outage: Outage) -> Result<()> {
    tokio::task::spawn_blocking(move || outage.end()).await?
}

async fn ready(stage: &Stage) -> Result<()> {
    until("the API server is back", PATIENCE, async || {
        let request = Request::get("/readyz").body(Vec::new())?;
        let asked = tokio::time::timeout(Duration::from_secs(2), stage.scene.client.request_text(request)).await;
        if !matches!(asked, Ok(Ok(_))) {
            sleep(Duration::from_millis(100)).await;
            return Ok(None);
        }
        Ok(Some(()))
    })
    .await
}

fn tell(report: &mut Report, kind: &str, ended: f64, answers: &[Cold], woken: &BTreeMap<String, f64>) {
    let of = |wanted: &str| answers.iter().filter(|answer| answer.kind == wanted).collect::<Vec<_>>();
    let brief = of("brief");
    let called = CALLED.as_secs_f64();
    let told = |answer: &&Cold| {
        matches!(answer.status, 503 | 504) && answer.retry_after.is_some() && answer.answered - called <= TOLD
    };
    let seen = brief.first().map_or(String::new(), |answer| {
        let after = answer.retry_after.as_deref().unwrap_or("none");
        format!(", such as {} after {:.1} s, Retry-After: {after}", answer.status, answer.answered - called)
    });
    report.check(
        format!("API server {kind}: calls of functions at zero that may wait for {BRIEF} s"),
        format!("503 or 504 with Retry-After within {TOLD} s"),
        format!("{} of {}{seen}", brief.iter().filter(|answer| told(answer)).count(), brief.len()),
        brief.len() == COLD && brief.iter().all(told),
    );
    let patient = of("patient");
    let late = |answer: &Cold| woken.get(&answer.function).map(|at| at - ended);
    // Kubernetes' own controllers come back up to a minute after the API server, and take the node for lost until then.
    let no_node = |answer: &Cold| answer.status == 503 && answer.retry_after.is_some() && answer.text.contains(NO_NODE);
    let served =
        |answer: &&&Cold| (answer.status == 200 || no_node(answer)) && late(answer).is_some_and(|late| late <= WOKEN);
    let last = patient.iter().filter_map(|answer| late(answer)).fold(f64::MIN, f64::max);
    let wrong = patient.iter().find(|answer| answer.status != 200);
    let wrong = wrong.map(|answer| format!(": {} {}", answer.status, answer.text)).unwrap_or_default();
    let all = patient.iter().filter(served).count();
    report.check(
        format!("API server {kind}: those that may wait for longer"),
        format!(
            "held, woken within {WOKEN} s of its return, and 200, or 503 with Retry-After where no node takes pods yet"
        ),
        format!("{all} of {}, woken {last:.1} s after it at the latest{wrong}", patient.len()),
        all == COLD,
    );
    report.figures(format!("API server {kind}: from its return to the answers of those that waited"), "s", {
        patient.iter().map(|answer| answer.answered - ended)
    });
    report.series(format!("cold, {kind}"), &answers);
}

/// When the wake of each function was written first, in seconds from the beginning of the outage.
fn woken(stage: &Stage, began: f64) -> Result<BTreeMap<String, f64>> {
    let mut first = BTreeMap::new();
    for write in audit::scalings(&stage.scene.cluster, &stage.scene.namespace)? {
        let at = stage.clock.of(write.answered) - began;
        if !(write.by_activator() && write.accepted() && at > 0.0) {
            continue;
        }
        // A revision is named for its function, with a hash behind it.
        let Some((function, _)) = write.deployment.rsplit_once('-') else { continue };
        let earliest = first.entry(function.to_owned()).or_insert(at);
        *earliest = at.min(*earliest);
    }
    Ok(first)
}

/// Every function and the route answer, and those at zero wake.
async fn remembered(stage: &Stage, report: &mut Report, kind: &str) -> Result<()> {
    let mut hosts: Vec<String> = cold().map(|(_, name)| name).collect();
    hosts.extend((0..RESTING).map(|number| format!("resting-{number}")));
    hosts.extend(["busy".to_owned(), "trickle".to_owned()]);
    let mut hosts: Vec<String> = hosts.iter().map(|name| stage.scene.host(name)).collect();
    hosts.push(HOST_NAME.to_owned());
    let mut wrong = Vec::new();
    for host in &hosts {
        let answer = client::get(stage.scene.entry, host, "/", PATIENCE).await?;
        if answer.status != 200 {
            wrong.push(format!("{host}: {} {}", answer.status, answer.text()));
        }
    }
    report.check(
        format!("API server {kind}: functions and routes that answer afterwards"),
        hosts.len(),
        format!("{} {}", hosts.len() - wrong.len(), wrong.first().map_or("", String::as_str)).trim_end(),
        wrong.is_empty(),
    );
    stage.rouse.leader().await.context("no leader once the API server is back")?;
    stage.rouse.settled(install::ACTIVATOR).await
}

/// Nothing that was called was brought to zero, and nothing that has a minimum below it.
fn awake(stage: &Stage, report: &mut Report) -> Result<()> {
    let all = audit::scalings(&stage.scene.cluster, &stage.scene.namespace)?;
    let zeros: Vec<_> = all.iter().filter(|scaling| scaling.accepted() && scaling.replicas == 0).collect();
    let mut wrong = Vec::new();
    for name in
        ["busy".to_owned(), "trickle".to_owned()].into_iter().chain((0..RESTING).map(|n| format!("resting-{n}")))
    {
        let calls = stage.journal.samples(|sample| sample.id.starts_with(&format!("{name}.")));
        // Between the two outages nobody calls, and what has no minimum may go.
        let called = |at: f64| calls.iter().any(|sample| sample.ended > at - f64::from(WINDOW) && sample.sent <= at);
        for zero in zeros.iter().filter(|zero| zero.deployment.starts_with(&format!("{name}-"))) {
            let at = stage.clock.of(zero.received);
            if name.starts_with("resting") || called(at) {
                wrong.push(format!("{} at {at:.1} s", zero.deployment));
            }
        }
    }
    let wrong_seen = format!("{} {}", wrong.len(), wrong.first().map_or("", String::as_str));
    report.check(
        "functions lowered to zero within their idle window, or below their minimum",
        "0",
        wrong_seen.trim_end(),
        wrong.is_empty(),
    );
    // That this would have shown it.
    let expected =
        zeros.iter().any(|zero| zero.deployment.starts_with("brief-") || zero.deployment.starts_with("patient-"));
    report.check("functions that were left alone went to zero", "some", zeros.len(), expected);
    Ok(())
}
