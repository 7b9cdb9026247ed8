//! A request at zero: answered, and with an account of where its time went.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use e2e::{
    http::{self, Answer},
    scene::{scene, tell},
};
use serde_json::json;

/// Of the whole, the share by which the sum of the phases may differ.
const GAP: f64 = 0.10;
/// Rounds at most.
const ROUNDS: usize = 8;

#[test]
fn a_cold_request_is_answered_and_accounts_for_its_time() {
    scene("cold", |scene| async move {
        // Long enough that a busy machine does not let it pass between two requests.
        scene.function("cold", json!({"scaling": {"windowSeconds": 20}})).await?;
        let mut gaps: Vec<f64> = Vec::new();
        // What the phases leave out is missing each time. The caller's clock, too, runs while this machine is busy with other
        // tests, and that is not the same each time: of three rounds or more, two must agree with it.
        while gaps.len() < 3 || gaps.iter().filter(|gap| **gap <= GAP).count() < 2 {
            ensure!(gaps.len() < ROUNDS, "the phases miss {gaps:?} of what the caller waited");
            let begin = Instant::now();
            let answer = scene.get("cold", "/").await?;
            let whole = (answer.first_byte - begin).as_secs_f64() * 1e3;
            let (sum, total) = phases(&answer)?;
            tell(format_args!("cold start: {whole:.0} ms to the caller, {sum:.0} ms in phases: {}", timing(&answer)?));
            ensure!((total - sum).abs() <= GAP * total, "the phases make {sum} ms of a total of {total} ms");
            gaps.push((whole - sum).abs() / whole);

            let warm = scene.get("cold", "/").await?;
            ensure!(warm.status == 200, "warm: {}", warm.status);
            ensure!(warm.header("rouse-cold-start") == Some("false"), "the second request was cold, too");
            ensure!(warm.header("server-timing").is_none(), "a request that was not held has phases of a hold");
            scene.at_zero("cold").await?;
        }
        Ok(())
    });
}

fn timing(answer: &Answer) -> Result<&str> {
    answer.header("server-timing").context("a cold answer without Server-Timing")
}

/// Checks that the answer is a cold one. Gives the sum of its phases and their total, in milliseconds.
fn phases(answer: &Answer) -> Result<(f64, f64)> {
    ensure!(answer.status == 200, "answered {}: {}", answer.status, answer.text());
    ensure!(answer.text().starts_with("hello from "), "answered by somebody else: {}", answer.text());
    ensure!(answer.header("rouse-cold-start") == Some("true"), "a start from zero is not said to be cold");
    let entries = http::server_timing(timing(answer)?);
    let (total, phases): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(name, _)| name == http::TOTAL);
    ensure!(phases.len() >= 4, "too few phases to tell anything: {phases:?}");
    ensure!(phases.iter().all(|(_, ms)| *ms >= 0.0), "a phase below nothing: {phases:?}");
    let sum = phases.iter().map(|(_, ms)| ms).sum();
    let total = total.first().context("no total among the entries")?.1;
    Ok((sum, total))
}
