//! The operator under perturbation: whatever goes wrong at whichever of its writes, everything ends as if nothing had.
//!
//! Each [`scenarios`] is run once undisturbed against an API server in memory ([`server`]) with a model of Kubernetes' own
//! [`controllers`] and one [`activator`]. Then, for each write that the operator made and for each of the [`faults`], it is
//! run again with that fault at that write. `plans.txt` lists them all.
//!
//! After each: the same objects with the same content, none left over, none missing; at most five writes to one object
//! once nothing goes wrong any more; none in ten calm minutes; and none when another process starts on it.

// Clippy knows tests by their attribute, and not the crate that is one as a whole.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod activator;
mod controllers;
mod faults;
mod picture;
mod plans;
mod process;
mod run;
mod scenarios;
mod server;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use plans::Plan;
use run::{Run, run};

/// Set, the file is written instead of compared.
const UPDATE: &str = "ROUSE_WRITE_PLANS";
/// Set, only plans whose line contains this are run.
const ONLY: &str = "ROUSE_PLANS";
/// Set, the operator's log is written at this level.
const LOG: &str = "ROUSE_LOG";

#[test]
fn every_plan_ends_as_if_nothing_had_gone_wrong() {
    if let Ok(level) = std::env::var(LOG) {
        runtime::telemetry::init(&level, runtime::telemetry::Format::Text);
    }
    let undisturbed = plans::undisturbed();
    for (scenario, run) in &undisturbed {
        assert_eq!(run.problems, Vec::<String>::new(), "{scenario}, undisturbed: {:#?}", run.writes);
    }
    let plans = plans::all(&undisturbed);
    let lines: String = plans.iter().map(|plan| format!("{plan}\n")).collect();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(plans::FILE, &lines).unwrap();
    }
    let file = std::fs::read_to_string(plans::FILE).unwrap_or_default();
    assert!(
        file == lines,
        "the plans are not those of {}; run it once with {UPDATE}=1\n{}",
        plans::FILE,
        picture::difference(&file, &lines)
    );
    assert!(plans.len() >= 500, "only {} plans", plans.len());

    let only = std::env::var(ONLY).unwrap_or_default();
    let chosen: Vec<&Plan> = plans.iter().filter(|plan| plan.to_string().contains(&only)).collect();
    let failures = side_by_side(&chosen, |plan| Some(format!("{plan}\n{}", wrong(plan, &undisturbed)?)));
    let failures: Vec<String> = failures.into_iter().flatten().collect();
    assert!(failures.is_empty(), "{} of {} plans:\n{}", failures.len(), chosen.len(), failures.join("\n"));
}

/// Does something with each, on as many threads as there are processors; what came of it, in the same order.
fn side_by_side<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(at) else { return done };
            done.push((at, each(one)));
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// What is wrong with the end of a plan, if anything is.
fn wrong(plan: &Plan, undisturbed: &BTreeMap<&'static str, Run>) -> Option<String> {
    let scenario = scenarios::named(plan.scenario);
    let disturbed = (plan.nth.clone(), plan.fault);
    let Ok(run) = catch_unwind(AssertUnwindSafe(|| run(scenario, Some(disturbed)))) else {
        return Some("  it panicked, see above".to_owned());
    };
    let mut out: Vec<String> = run.problems.iter().map(|problem| format!("  {problem}")).collect();
    let expected = &undisturbed[plan.scenario].picture;
    if run.picture != *expected {
        out.push(picture::difference(expected, &run.picture));
    }
    (!out.is_empty()).then(|| out.join("\n"))
}
