//! What the activator passes on means the same to whoever reads it: nginx, HAProxy, Node, gunicorn and Go.
//!
//! Cases are connections on which ambiguous requests come, drawn from a grammar with a fixed seed. Each goes to an activator
//! whose pod keeps the bytes that it is sent. These are then read by the five servers, and so are the caller's own bytes where
//! all of them were passed on.

mod activator;
mod draft;
mod generate;
mod passage;
mod pod;
mod twists;
mod verdict;

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::readers::{Programs, Reader, Readers};
use e2e::steps::Steps;
use futures::StreamExt;

use generate::{Case, cases};
use passage::Passage;

const SEED: u64 = 5;
const CASES: usize = 1500;
/// Cases at once: the machine's CPUs are busy, and those that wait for something do not hold up the others.
const AT_ONCE: usize = 16;

/// What has become of one case.
struct Outcome {
    passage: Passage,
    /// What is wrong with it.
    faults: Vec<String>,
    /// Who would not read the request, which is the others' all the same.
    refusals: Vec<(Reader, u16)>,
}

async fn judge(case: &Case, readers: &Readers) -> Result<Outcome> {
    let passage = passage::take(&case.bytes).await?;
    let mut outcome = Outcome { passage, faults: Vec::new(), refusals: Vec::new() };
    outcome.faults.extend(verdict::of_the_pod(&outcome.passage));
    for reader in Reader::ALL {
        let seen = verdict::of_what_was_forwarded(&outcome.passage, reader, readers).await?;
        outcome.faults.extend(seen.faults);
        outcome.refusals.extend(seen.refused.map(|status| (reader, status)));
        outcome.faults.extend(verdict::of_what_was_sent(case, &outcome.passage, reader, readers).await?);
    }
    Ok(outcome)
}

#[tokio::test]
async fn whatever_is_forwarded_is_read_the_same_by_all() -> Result<()> {
    let programs = tokio::task::spawn_blocking(|| Programs::prepare(&Steps::new())).await??;
    let readers = Readers::start(&programs).await?;
    let cases = cases(SEED, CASES);
    let judged = futures::stream::iter(&cases).map(|case| judge(case, &readers)).buffered(AT_ONCE);
    let outcomes: Vec<Result<Outcome>> = judged.collect().await;
    let (mut passed, mut refused, mut forwarded, mut faults) = (0, 0, 0, Vec::new());
    let mut refusals: BTreeMap<(Reader, u16), usize> = BTreeMap::new();
    for (case, outcome) in cases.iter().zip(outcomes) {
        let Outcome { passage, faults: own, refusals: those } = outcome?;
        passed += usize::from(passage.whole());
        refused += usize::from(passage.refused());
        forwarded += passage.readings.len();
        for one in those {
            *refusals.entry(one).or_default() += 1;
        }
        if !own.is_empty() {
            faults.push(format!("{}\n{}{passage}", own.join("\n"), case));
        }
    }
    println!("{CASES} connections: {passed} passed on whole, {refused} refused; {forwarded} requests reached the pod");
    for ((reader, status), times) in refusals {
        println!("{reader} answered {status} to {times} of them, which the others read alike");
    }
    assert!(faults.is_empty(), "{} of {CASES}:\n\n{}", faults.len(), faults.join("\n\n"));
    // Else there is nothing to see: the requests are all plain, or all nonsense.
    assert!(passed * 4 >= CASES && refused * 4 >= CASES, "{passed} passed, {refused} refused");
    Ok(())
}
