//! The queue of a function that is not there yet: bounded, left at once by whoever goes away, and never for ever.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use e2e::{
    http::{Answer, Connection},
    scene::{Scene, scene, tell, until},
};
use http::{Request, header::HOST};
use http_body_util::Full;
use serde_json::json;
use tokio::{task::JoinHandle, time::timeout};

/// How long the function's program takes to listen: the time in which the queue is looked at.
const START: Duration = Duration::from_secs(15);
/// A request without an answer for so long is held: refusals are made at once.
const HELD: Duration = Duration::from_secs(1);

/// A request under way. Dropped, its connection closes.
struct Waiting {
    id: String,
    answer: JoinHandle<Result<Answer>>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.answer.abort();
    }
}

/// Sends a POST that the application would log. Gives the answer if there is one at once, else the request, held.
async fn knock(scene: &Scene, id: &str, patience: Duration) -> Result<Result<Answer, Waiting>> {
    let request = Request::post("/upload").header(HOST, scene.host("queue")).header("x-id", id);
    let request = request.body(Full::<Bytes>::default())?;
    let mut connection = Connection::open(scene.entry).await?;
    let mut answer = tokio::spawn(async move { connection.send(request).await });
    match timeout(patience, &mut answer).await {
        Ok(answer) => Ok(Ok(answer??)),
        Err(_) => Ok(Err(Waiting { id: id.to_owned(), answer })),
    }
}

#[test]
fn the_queue_is_bounded_and_a_request_that_goes_away_leaves_its_place_at_once() {
    scene("queue", |scene| async move {
        let delay = json!({"name": "START_DELAY_MS", "value": START.as_millis().to_string()});
        scene.function("queue", json!({"env": [delay], "queue": {"maxRequests": 3}})).await?;
        let mut held = Vec::new();
        let refused = loop {
            match knock(&scene, &format!("first-{}", held.len()), HELD).await? {
                Ok(answer) => break answer,
                Err(waiting) => held.push(waiting),
            }
            ensure!(held.len() <= 3, "the queue takes more than its three requests");
        };
        ensure!(held.len() == 3, "the queue took {} of its three requests", held.len());
        overflowed(&refused)?;

        let gone = held.swap_remove(1);
        let gone_id = gone.id.clone();
        let begin = Instant::now();
        drop(gone);
        let next = until("a place in the queue", HELD, async || {
            // A refusal takes milliseconds; whoever waits longer has the place.
            Ok(knock(&scene, "second", Duration::from_millis(200)).await?.err())
        });
        held.push(next.await.context("the place of a request that went away was not free within a second")?);
        let freed = begin.elapsed().saturating_sub(Duration::from_millis(200));
        tell(format_args!("a cancelled request's place was free after {freed:.0?}"));
        // And it was one place, not more.
        overflowed(&knock(&scene, "third", HELD).await?.map_err(|_| anyhow!("a fourth request is held"))?)?;

        for waiting in &mut held {
            let answer = timeout(START * 3, &mut waiting.answer).await.context("a held request got no answer")???;
            ensure!(answer.status == 200, "held request {}: {} {}", waiting.id, answer.status, answer.text());
        }
        let pods = scene.pods("queue").await?;
        let pod = pods.first().and_then(|pod| pod.metadata.name.as_deref()).context("no pod served")?;
        let log = scene.kubectl(&["logs", pod], "")?;
        let arrived = |id: &str| log.lines().filter(|line| *line == format!("id={id}")).count();
        for waiting in &held {
            ensure!(arrived(&waiting.id) == 1, "{} arrived {} times:\n{log}", waiting.id, arrived(&waiting.id));
        }
        ensure!(arrived(&gone_id) == 0, "the request that went away reached the function:\n{log}");
        ensure!(arrived("third") == 0, "a refused request reached the function:\n{log}");
        Ok(())
    });
}

fn overflowed(answer: &Answer) -> Result<()> {
    let problem = answer.problem(503)?;
    let kind = problem["type"].as_str().unwrap_or_default();
    ensure!(kind.ends_with("/queue-full"), "refused for another reason: {problem}");
    let after: u64 = answer.header("retry-after").context("no Retry-After")?.parse()?;
    ensure!((1..=60).contains(&after), "Retry-After: {after}");
    ensure!(problem["phase"] == "hold" && problem["function"].is_string(), "{problem}");
    Ok(())
}

#[test]
fn the_cold_start_deadline_is_a_gateway_timeout() {
    scene("deadline", |scene| async move {
        // It starts, and never says that it is ready.
        let never = json!({"readiness": {"path": "/status/503"}, "timeouts": {"coldStartSeconds": 3}});
        scene.function("never", never).await?;
        let begin = Instant::now();
        let answer = scene.get("never", "/").await?;
        let took = begin.elapsed();
        let problem = answer.problem(504)?;
        tell(format_args!("cold-start deadline of 3 s: 504 after {took:.2?}: {}", problem["detail"]));
        ensure!(took >= Duration::from_secs(3), "given up after {took:?}");
        ensure!(took < Duration::from_secs(6), "a deadline of 3 s passed after {took:?}");
        let kind = problem["type"].as_str().unwrap_or_default();
        ensure!(kind.ends_with("/cold-start-deadline"), "{problem}");
        ensure!(problem["waitedMs"].as_u64() >= Some(3000) && problem["limitMs"] == 3000, "{problem}");
        ensure!(answer.header("rouse-cold-start") == Some("true"), "not said to be cold");
        Ok(())
    });
}
