//! Attackers on the activator, one kind after the other, beside callers who must not notice.

mod attack;
mod fence;
pub(super) mod frames;

use std::process::Stdio;
use std::time::{Duration, Instant};

use ::kube::ResourceExt;
use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::{interval, sleep, timeout};

use super::{report::Report, stage::Stage};
use crate::bench::h2load::Processes;
use crate::bench::idle;
use crate::install;
use crate::load::{Pace, Shape};
use crate::scene::{PATIENCE, until};
pub use attack::Attacker;
use attack::{Attack, Outcome};
use fence::{Bound, Fence};

/// The hidden command that is the attacker.
pub const COMMAND: &str = "attacker";
/// Of a core, for the attacker and for the activator, in percent.
const ATTACKER: u64 = 50;
/// See [`ATTACKER`].
const ACTIVATOR: u64 = 150;
/// Connections of a flood at once.
const CONNECTIONS: usize = 10;
/// Requests a second of those who must not notice, over both protocols.
const VICTIMS: f64 = 50.0;
/// What a flood may cost: percent of a core, and MiB.
const CPU: f64 = 30.0;
/// See [`CPU`].
const MEMORY: f64 = 20.0;
/// Seconds after which the last slow client must have been sent away.
const SENT_AWAY: f64 = 30.0;
/// Between two looks at the memory.
const LOOK: Duration = Duration::from_millis(500);
/// Between two attacks: what is left of one has ended.
const PAUSE: Duration = Duration::from_secs(3);

/// What one attack came to.
#[derive(Clone, Debug, Serialize)]
struct Row {
    attack: Attack,
    seconds: f64,
    /// Of the activators, beyond what they need for the victims, in percent of a core.
    cpu_percent: f64,
    /// The largest resident memory during the attack over that before it, in MiB.
    grown_mib: f64,
    victims: usize,
    victims_failed: usize,
    #[serde(flatten)]
    outcome: Outcome,
}

pub(super) async fn run(stage: &Stage, report: &mut Report) -> Result<()> {
    let one = json!({"minReplicas": 1, "maxReplicas": 1});
    stage.function("victim", json!({"scaling": one})).await?;
    stage.function("target", json!({"scaling": one, "resources": {"memory": "512Mi", "cpu": "10m"}})).await?;
    // One of an earlier build may still be on its way out.
    stage.rouse.settled(install::ACTIVATOR).await?;
    let pods = stage.rouse.pods(install::ACTIVATOR).await?;
    ensure!(pods.len() == 1, "there are {} activators, and one is measured", pods.len());
    let uid = pods[0].uid().unwrap_or_default();
    let processes = Processes::of_pod(&uid)?;
    let _bound = Bound::on(idle::pid_of(&uid, "activator")?, ACTIVATOR)?;
    for function in ["victim", "target"] {
        // On a node that has just come up the way to the activator may take a moment longer than the activator.
        let answers = async || Ok(stage.scene.get(function, "/").await.ok().filter(|answer| answer.status == 200));
        until(&format!("an answer of {function}"), PATIENCE, answers).await?;
    }
    let load = stage.load("victims", "victim", Pace::PerSecond(VICTIMS), vec![Shape::get(0), Shape::post(0)]);
    let victims = load.start(&stage.journal).await?;

    let baseline = Duration::from_secs(stage.much(30, 8));
    let step = stage.long("the victims alone", baseline.as_secs());
    sleep(Duration::from_secs(2)).await;
    let (before, began) = (processes.cpu()?, Instant::now());
    stage.watch(&step, baseline).await;
    let share = (processes.cpu()? - before).as_secs_f64() / began.elapsed().as_secs_f64();
    report.figure("the victims alone: activator", "% of a core", share * 100.0);
    step.done("");

    let mut rows = Vec::new();
    for attack in Attack::value_variants() {
        let row = one_attack(stage, &processes, *attack, share).await?;
        judge(report, &row, stage.much(5000, 500));
        rows.push(row);
        sleep(PAUSE).await;
    }
    victims.end().await?;
    stage.no_failures(report);
    report.series("attacks", &rows);
    table(&rows);
    report.leave_out(format!(
        "the attacker has {ATTACKER} % of a core, {CONNECTIONS} connections at once and opens each anew when it is closed; the activator has {ACTIVATOR} %"
    ));
    Ok(())
}

async fn one_attack(stage: &Stage, processes: &Processes, attack: Attack, share: f64) -> Result<Row> {
    let seconds = if attack.is_slow() { stage.much(60, 40) } else { stage.much(60, 5) };
    let connections = if attack.is_slow() { stage.much(5000, 500) } else { CONNECTIONS };
    let step = stage.long(attack.name(), seconds);
    let fence = Fence::new(&format!("rouse-attacker-{}", std::process::id()), ATTACKER)?;
    let mut child = Command::new(crate::node::OWN_PROGRAM)
        .args([COMMAND, &attack.name(), "--entry", &stage.scene.entry.to_string()])
        .args(["--host", &stage.scene.host("target"), "--connections", &connections.to_string()])
        .args(["--seconds", &seconds.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    fence.put(child.id().context("the attacker has ended")?)?;
    let from = stage.clock.now();
    let (memory, cpu, began) = (processes.memory_kib()?, processes.cpu()?, Instant::now());
    child.stdin.take().context("no standard input")?.write_all(b"go\n").await?;
    let mut most = memory;
    let mut ended = Box::pin(timeout(Duration::from_secs(seconds + 30), child.wait_with_output()));
    let mut look = interval(LOOK);
    let output = loop {
        tokio::select! {
            output = &mut ended => break output.context("the attacker does not end")??,
            _ = look.tick() => {
                most = most.max(processes.memory_kib()?);
                let (sent, failed) = stage.journal.so_far();
                step.at(format!("{sent} requests, {failed} failed"));
            }
        }
    };
    let took = began.elapsed().as_secs_f64();
    let used = (processes.cpu()? - cpu).as_secs_f64();
    ensure!(output.status.success(), "the attacker ended with {}", output.status);
    let outcome = serde_json::from_slice(&output.stdout).context("the attacker's outcome")?;
    let to = stage.clock.now();
    // Answers that are under way are those of this attack.
    sleep(Duration::from_secs(1)).await;
    let counted = stage.journal.counted(|sample| (from..=to).contains(&sample.due));
    step.done("");
    Ok(Row {
        attack,
        seconds: took,
        cpu_percent: (used / took - share).max(0.0) * 100.0,
        grown_mib: most.saturating_sub(memory) as f64 / 1024.0,
        victims: counted.requests,
        victims_failed: counted.failed,
        outcome,
    })
}

fn judge(report: &mut Report, row: &Row, clients: u64) {
    let name = row.attack.name();
    let failed = format!("{} of {}", row.victims_failed, row.victims);
    let unharmed = row.victims > 0 && row.victims_failed == 0;
    if row.attack.is_slow() {
        let Outcome { opened, closed, last_closed_seconds, .. } = row.outcome;
        report.check(
            format!("{name}: {clients} clients"),
            format!("all sent away within {SENT_AWAY} s, 0 victims failed"),
            format!(
                "{closed} of {opened} sent away, the last after {last_closed_seconds:.1} s; {failed} victims failed"
            ),
            unharmed && opened == clients && closed == clients && last_closed_seconds <= SENT_AWAY,
        );
        return;
    }
    report.check(
        name,
        format!("at most {CPU} % of a core and {MEMORY} MiB, 0 victims failed"),
        format!("{:.1} %, {:.1} MiB, {failed} victims failed", row.cpu_percent, row.grown_mib),
        unharmed && row.cpu_percent <= CPU && row.grown_mib <= MEMORY,
    );
}

fn table(rows: &[Row]) {
    let head = ["attack", "s", "% core", "MiB", "victims", "failed", "opened", "closed", "MB sent"];
    let [attack, rest @ ..] = head;
    println!("\n{attack:<16}{}", rest.map(|name| format!("{name:>9}")).concat());
    for row in rows {
        let Outcome { opened, closed, bytes, .. } = row.outcome;
        let Row { seconds, cpu_percent, grown_mib, victims, victims_failed, .. } = row;
        println!(
            "{:<16}{seconds:>9.0}{cpu_percent:>9.1}{grown_mib:>9.1}{victims:>9}{victims_failed:>9}{opened:>9}{closed:>9}{:>9.1}",
            row.attack.name(),
            bytes as f64 / 1e6
        );
    }
}
