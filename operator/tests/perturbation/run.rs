//! One run of a scenario, from an empty cluster to a calm one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    activator::Activator,
    controllers,
    faults::{Fault, Nth, Trap},
    picture, process,
    scenarios::{Scenario, World},
    server::{Key, Server, Write},
};

/// It is calm when nothing was written for so long.
const CALM: Duration = Duration::from_secs(20);
/// The same after a write that failed: longer than the operator ever waits for another try.
const FAILED_CALM: Duration = Duration::from_secs(65);
/// So often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// It must be calm after so long.
const PATIENCE: Duration = Duration::from_secs(900);
/// How long it must stay calm.
const STAYS: Duration = Duration::from_secs(600);
/// How long the process is watched that is started in the end.
const STARTS: Duration = Duration::from_secs(15);
/// Most writes to one object after the last disturbance.
const WRITES: usize = 5;
/// Most that fail: what waits for its user is tried again ever more rarely.
const FAILED: usize = 12;

/// What came of a run.
pub(crate) struct Run {
    /// What there is in the end.
    pub(crate) picture: String,
    /// What the operator wrote.
    pub(crate) writes: Vec<Write>,
    /// What was wrong.
    pub(crate) problems: Vec<String>,
}

/// Runs a scenario; something goes wrong at one write. Time is the runtime's own, and runs as fast as it can.
pub(crate) fn run(scenario: Scenario, wrong: Option<(Nth, Fault)>) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(play(scenario, wrong))
}

async fn play(scenario: Scenario, wrong: Option<(Nth, Fault)>) -> Run {
    let server = Server::new(Trap::new(wrong));
    let activator = Arc::new(Activator::new(&server));
    let world = World::new(&server, &activator);
    // Tasks of their own: what wakes one should not poll all.
    let mut tasks = JoinSet::new();
    tasks.spawn(controllers::run(Arc::clone(&server)));
    let user = Arc::clone(&server);
    let steps = tokio::spawn(async move { steps(&scenario, &world, &user).await });
    let run = tokio::select! {
        never = process::run(&server, &activator) => match never {},
        run = steps => run.expect("the steps can be taken"),
    };
    tasks.shutdown().await;
    run
}

/// Takes the steps, and looks at what comes of them.
async fn steps(scenario: &Scenario, world: &World, server: &Server) -> Run {
    let mut problems = Vec::new();
    for (number, step) in scenario.steps.iter().enumerate() {
        server.begin_step(number);
        step(world);
        server.end_step();
        if !calm(server).await {
            problems.push(format!("after step {number} it never became calm: {:?}", last(server)));
            break;
        }
        problems.extend(many(server));
    }
    let (picture, writes) = server.see(|state| (picture::of(&state.store), state.writes.clone()));
    sleep(STAYS).await;
    let after = server.see(|state| state.writes.len());
    if after != writes.len() {
        problems.push(format!("calm, it wrote {} times more: {:?}", after - writes.len(), last(server)));
    }
    // The next process finds everything as it should be.
    server.crash();
    sleep(STARTS).await;
    server.see(|state| {
        let more: Vec<&Nth> = state.writes[after..].iter().map(|write| &write.nth).collect();
        if more.iter().any(|nth| !nth.write.contains(" leases ")) {
            problems.push(format!("started anew, it wrote {more:?}"));
        }
        if picture::of(&state.store) != picture {
            problems.push("calm, it changed something".to_owned());
        }
        if state.trap.waits() {
            problems.push("the write at which something should have gone wrong never came".to_owned());
        }
        if !state.unknown.is_empty() {
            problems.push(format!("it asked for what there is not: {:?}", state.unknown));
        }
        if scenario.asleep && state.pods_ever("shop") {
            problems.push("a pod was started though nobody asked for one".to_owned());
        }
    });
    Run { picture, writes, problems }
}

/// Waits until nothing changes any more and nothing is written but in vain; whether that came to be.
async fn calm(server: &Server) -> bool {
    let started = Instant::now();
    let look =
        || server.see(|state| (state.store.version(), state.writes.iter().filter(|write| !write.failed).count()));
    let (mut seen, mut since) = (look(), Instant::now());
    while started.elapsed() < PATIENCE {
        sleep(LOOK).await;
        let now = look();
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.max(server.see(|state| state.disturbed)).elapsed() >= quiet(server) {
            return true;
        }
    }
    false
}

/// How long it must be quiet to be calm.
fn quiet(server: &Server) -> Duration {
    let failed = |write: &Write| write.failed && write.at.elapsed() < FAILED_CALM;
    if server.see(|state| state.writes.iter().any(failed)) { FAILED_CALM } else { CALM }
}

/// Objects that were written too often since nothing goes wrong any more.
fn many(server: &Server) -> Vec<String> {
    server.see(|state| {
        let mut counts: BTreeMap<(&Key, bool), Vec<&str>> = BTreeMap::new();
        for write in state.writes.iter().filter(|write| write.at > state.disturbed) {
            counts.entry((&write.key, write.failed)).or_default().push(&write.nth.write);
        }
        let many =
            counts.into_iter().filter(|((_, failed), writes)| writes.len() > if *failed { FAILED } else { WRITES });
        many.map(|((key, _), writes)| {
            format!("{} {} was written {} times: {writes:?}", key.plural, key.name, writes.len())
        })
        .collect()
    })
}

fn last(server: &Server) -> Vec<String> {
    server.see(|state| state.writes.iter().rev().take(5).map(|write| write.nth.write.clone()).collect())
}
