//! The queue of a function that is not there yet: bounded, left at once by whoever goes away, and never for ever.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use e2e::{
    http::{Answer, Connection},
    logs::Logs,
    scene::{PATIENCE, Scene, scene, tell, until},
};
use futures::future::select_all;
use http::{Request, header::HOST};
use http_body_util::Full;
use serde_json::json;
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How long the function's program takes to listen: the time in which the queue is looked at.
const START: Duration = Duration::from_secs(45);
/// A request without an answer for so long is held: refusals are made at once.
const HELD: Duration = Duration::from_secs(3);
/// How long what is done at once may take on a machine that is busy with other tests. Without it, all of [`START`].
const AT_ONCE: Duration = Duration::from_secs(12);

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

/// Sends a POST that the application would log.
async fn send(scene: &Scene, id: &str) -> Result<Waiting> {
    let request = Request::post("/upload").header(HOST, scene.host("queue")).header("x-id", id);
    let request = request.body(Full::<Bytes>::default())?;
    let mut connection = Connection::open(scene.entry).await?;
    let answer = tokio::spawn(async move { connection.send(request).await });
    Ok(Waiting { id: id.to_owned(), answer })
}

/// The same. Gives the answer if there is one within `patience`, else the request, held.
async fn knock(scene: &Scene, id: &str, patience: Duration) -> Result<Result<Answer, Waiting>> {
    let mut waiting = send(scene, id).await?;
    match timeout(patience, &mut waiting.answer).await {
        Ok(answer) => Ok(Ok(answer??)),
        Err(_) => Ok(Err(waiting)),
    }
}

/// Takes out the one that is answered first, and gives its id and its answer.
async fn first_answered(held: &mut Vec<Waiting>) -> Result<(String, Answer)> {
    let answers = select_all(held.iter_mut().map(|waiting| &mut waiting.answer));
    let (answer, place, _) = timeout(AT_ONCE, answers).await.context("nobody is refused")?;
    let answered = held.remove(place);
    Ok((answered.id.clone(), answer??))
}

#[test]
fn the_queue_is_bounded_and_a_request_that_goes_away_leaves_its_place_at_once() {
    scene("queue", |scene| async move {
        let delay = json!({"name": "START_DELAY_MS", "value": START.as_millis().to_string()});
        let spec = json!({"env": [delay], "queue": {"maxRequests": 3}, "timeouts": {"coldStartSeconds": 180}});
        scene.function("queue", spec).await?;
        let logs = Logs::follow(&scene, "queue");
        let mut held = Vec::new();
        for n in 0..4 {
            held.push(send(&scene, &format!("first-{n}")).await?);
        }
        // Whichever came last: the other three stay.
        let (refused_id, refused) = first_answered(&mut held).await.context("of four requests to a queue of three")?;
        overflowed(&refused)?;
        sleep(HELD).await;
        let stay = held.iter().filter(|waiting| !waiting.answer.is_finished()).count();
        ensure!(stay == 3, "the queue took {stay} of its three requests");

        let gone = held.swap_remove(1);
        let gone_id = gone.id.clone();
        let begin = Instant::now();
        drop(gone);
        let next = until("a place in the queue", AT_ONCE, async || Ok(knock(&scene, "second", HELD).await?.err()));
        held.push(next.await.context("the place of a request that went away was not free at once")?);
        tell(format_args!("a cancelled request's place was free after {:.0?}", begin.elapsed().saturating_sub(HELD)));
        // And it was one place, not more.
        overflowed(&knock(&scene, "third", AT_ONCE).await?.map_err(|_| anyhow!("a fourth request is held"))?)?;

        for waiting in &mut held {
            let answer = timeout(START + PATIENCE * 2, &mut waiting.answer).await;
            let answer = answer.context("a held request got no answer")???;
            ensure!(answer.status == 200, "held request {}: {} {}", waiting.id, answer.status, answer.text());
        }
        let sent: BTreeSet<String> = held.iter().map(|waiting| waiting.id.clone()).collect();
        logs.exactly_once(&sent).await?;
        let arrived = logs.ids();
        ensure!(!arrived.contains_key(&gone_id), "the request that went away reached the function: {arrived:?}");
        for refused in [refused_id.as_str(), "third"] {
            ensure!(!arrived.contains_key(refused), "a refused request reached the function: {arrived:?}");
        }
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
        // Without it the default deadline of a minute would pass, and a busy machine may be late.
        ensure!(took < Duration::from_secs(30), "a deadline of 3 s passed after {took:?}");
        let kind = problem["type"].as_str().unwrap_or_default();
        ensure!(kind.ends_with("/cold-start-deadline"), "{problem}");
        ensure!(problem["waitedMs"].as_u64() >= Some(3000) && problem["limitMs"] == 3000, "{problem}");
        ensure!(answer.header("rouse-cold-start") == Some("true"), "not said to be cold");
        Ok(())
    });
}
