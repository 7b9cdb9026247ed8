//! The hold as a whole, against every rule that it has: random scripts of what can happen, over the real path from the count
//! to the grant, the real index, pods, places and waker, an API server with moods, and a clock that the script moves.
//!
//! What is not real: the probe (a step says that it passes), the exchange with a pod (a step says how it ends) and the
//! runtime's order of tasks (the script draws it).

mod api;
mod objects;
mod request;
mod rules;
mod step;
mod visits;
mod world;

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::path::again::Cause;
use step::{Line, Script, Settings, Step, script};
use world::World;

type Verdict = Result<(), TestCaseError>;

fn run(script: &Script) -> Verdict {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut world = World::new(script).await;
        for line in &script.lines {
            world.act(line.step).await;
            if line.settle {
                world.settle().await?;
            }
        }
        world.rest().await
    })
}

/// A script without limits of the process, of which all have a turn after each step that has no `false`.
fn told(lines: &[(Step, bool)]) -> Script {
    let lines = lines.iter().map(|(step, settle)| Line { step: *step, settle: *settle }).collect();
    Script { seed: 0, most: 100, bytes: 100_000, percent: 100, lines }
}

/// Its pod left as it was sent, and every other one is swamped by now.
#[test]
fn a_request_that_a_pod_took_with_it_is_not_turned_away() {
    let one = Settings { queue: 0, target: 1, most: 1, ..Settings::FIRST };
    let mut script = vec![(Step::Appear(0), false), (Step::Ready(0), true)];
    script.extend([(Step::Arrive(0), true); 5]);
    script.extend([(Step::Settings(0, one), true), (Step::Back(0, Cause::Gone), true)]);
    run(&told(&script)).unwrap();
}

proptest! {
    /// No request is lost, none is answered twice, the order is kept, nothing leaks, and nobody waits for what is there.
    #[test]
    fn every_interleaving_keeps_the_rules(script in script()) {
        run(&script)?;
    }
}
