//! Short requests keep a function awake; open connections and readiness probes do not.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::{observed::Observed, report::Report, stage::Stage};
use crate::{
    http::{Connection, streaming},
    load::{Pace, Shape},
};

/// The idle window, in seconds: the shortest there is.
const WINDOW: i32 = 6;
/// How long after its window a function may take to be at zero: heartbeats, a drain, and a write.
const SLACK: f64 = 10.0;

fn functions() -> [(&'static str, Value); 3] {
    [
        ("concurrency", json!({"scaling": {"windowSeconds": WINDOW}})),
        ("rps", json!({"scaling": {"windowSeconds": WINDOW, "metric": "RequestsPerSecond", "target": 200}})),
        ("probed", json!({"scaling": {"windowSeconds": WINDOW}, "readiness": {"path": "/version"}})),
    ]
}

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    for (name, spec) in functions() {
        stage.function(name, spec).await?;
    }
    let observed = Observed::start(&stage.scene, &stage.rouse, stage.clock).await?;
    let duration = Duration::from_secs(stage.much(180, 30));
    let step = stage.long("one request of 5 ms each second", duration.as_secs());
    let mut loads = Vec::new();
    for (name, _) in functions() {
        loads.push(stage.load(name, name, Pace::PerSecond(1.0), vec![Shape::get(5)]).start(&stage.journal).await?);
    }
    let warm = stage.clock.now() + f64::from(WINDOW);
    stage.watch(&step, duration).await;
    for load in loads {
        load.end().await?;
    }
    let quiet = stage.clock.now();
    step.done("");

    // Connections that were used and are kept, and say nothing more.
    let mut open = Vec::new();
    for (name, _) in functions() {
        let mut connection = Connection::open(stage.scene.entry).await?;
        connection.get(&stage.scene.host(name), "/").await?;
        open.push((connection, streaming::http2(stage.scene.entry).await?));
    }
    let last = stage.clock.now();
    let silence = Duration::from_secs(stage.much(90, 30));
    let step = stage.long("silence", silence.as_secs());
    tokio::time::sleep(silence).await;
    step.done("");

    let changes = observed.replicas();
    for (name, _) in functions() {
        let (least, _) = observed.between(name, warm, quiet);
        let cold = stage.journal.samples(|sample| sample.load == name && sample.cold && sample.due > warm).len();
        let pods = observed.pods(name).len();
        report.check(
            format!("{name}: awake under one request each second"),
            "never at zero, no further cold start, one pod",
            format!("at least {least} replicas, {cold} cold starts, {pods} pods"),
            least >= 1 && cold == 0 && pods == 1,
        );
        let zero = changes.iter().find(|change| change.is_zero_of(name, last)).map(super::observed::Replicas::at);
        let seen = zero.map_or("never".to_owned(), |at| format!("after {:.1} s", at - last));
        let (window, bound) = (f64::from(WINDOW), f64::from(WINDOW) + SLACK);
        let in_time = zero.is_some_and(|at| (window..=bound).contains(&(at - last)));
        report.check(
            format!("{name}: at zero once nobody calls"),
            format!("after {window} to {bound} s"),
            seen,
            in_time,
        );
        if let Some(at) = zero {
            report.figure(format!("{name}: last request to zero"), "s", at - last);
            let (_, most) = observed.between(name, at, stage.clock.now());
            report.check(format!("{name}: stays at zero"), "0 replicas", format!("{most} at most"), most == 0);
        }
    }
    drop(open);
    stage.no_failures(report);
    observed.tell(report);
    Ok(())
}
