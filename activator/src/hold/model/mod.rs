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

use step::{Script, script};
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

proptest! {
    /// No request is lost, none is answered twice, the order is kept, nothing leaks, and nobody waits for what is there.
    #[test]
    fn every_interleaving_keeps_the_rules(script in script()) {
        run(&script)?;
    }
}
