//! Fifty requests at once to a function at zero: one wake, straight to the need. Alone, since time is measured.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    audit::{self, Scaling},
    http::{Answer, Connection},
    install,
    rouse::address,
    scene::{Scene, tell},
};
use futures::future::{join_all, try_join_all};
use jiff::Timestamp;
use serde_json::json;

use crate::installation::disturb;

const REQUESTS: usize = 50;
/// `ceil(50 / (target 10 × 100 %))`
const NEED: i64 = 5;

/// Fifty requests over connections that are open already, to each of `entries` in turn.
async fn fifty(scene: &Scene, function: &str, entries: &[std::net::SocketAddr]) -> Result<(Timestamp, Vec<Answer>)> {
    let open = entries.iter().cycle().take(REQUESTS).map(|entry| Connection::open(*entry));
    let connections = try_join_all(open).await?;
    let host = scene.host(function);
    let begin = Timestamp::now();
    let all = connections.into_iter().map(async |mut connection| connection.get(&host, "/").await);
    let answers = join_all(all).await.into_iter().collect::<Result<Vec<_>>>()?;
    for answer in &answers {
        ensure!(answer.status == 200, "one of {REQUESTS} at once: {} {}", answer.status, answer.text());
    }
    Ok((begin, answers))
}

async fn function(scene: &Scene, name: &str) -> Result<String> {
    let spec = json!({"scaling": {"target": 10, "targetUtilizationPercent": 100, "windowSeconds": 6}});
    let function = scene.function(name, spec).await?;
    Ok(function.status.context("no status")?.revision)
}

/// Writes of `/scale` that were taken, whoever made them.
fn writes(scene: &Scene, revision: &str) -> Result<Vec<Scaling>> {
    let all = audit::scalings(&scene.cluster, &scene.namespace)?;
    Ok(all.into_iter().filter(|s| s.deployment == revision && s.accepted()).collect())
}

fn wakes(scene: &Scene, revision: &str) -> Result<Vec<Scaling>> {
    Ok(writes(scene, revision)?.into_iter().filter(Scaling::by_activator).collect())
}

/// What comes within 20 ms of the first request is in the second write. Where other programs have the machine too the fifty may
/// be longer on their way, and each write names what had come by then.
#[test]
fn fifty_requests_at_zero_are_one_wake_straight_to_the_need() {
    disturb("fifty", |scene, _| async move {
        let (mut rounds, mut straight) = (0, 0);
        while rounds < 5 || (straight < 3 && rounds < 12) {
            let name = format!("fifty-{rounds}");
            rounds += 1;
            let revision = function(&scene, &name).await?;
            let (begin, _) = fifty(&scene, &name, &[scene.entry]).await?;
            ensure!(i64::from(scene.replicas(&name).await?) == NEED, "not {NEED} replicas");
            let writes = wakes(&scene, &revision)?;
            let numbers: Vec<i64> = writes.iter().map(|write| write.replicas).collect();
            ensure!(numbers.is_sorted() && numbers.last() == Some(&NEED), "the writes were {numbers:?}");
            straight += usize::from(writes.len() <= 2);
            let at = |write: &Scaling| {
                let (received, answered) = (write.received.duration_since(begin), write.answered.duration_since(begin));
                format!("{} at {}–{} ms", write.replicas, received.as_millis(), answered.as_millis())
            };
            tell(format_args!("{REQUESTS} at once: {}", writes.iter().map(at).collect::<Vec<_>>().join(", ")));
            scene.at_zero(&name).await?;
        }
        ensure!(straight >= 3, "only {straight} of {rounds} times it took two writes at most");
        Ok(())
    });
}

#[test]
fn fifty_requests_over_two_activators_are_all_answered() {
    disturb("two", |scene, rouse| async move {
        let revision = function(&scene, "two").await?;
        rouse.scale(install::ACTIVATOR, 2).await?;
        let pods = rouse.pods(install::ACTIVATOR).await?;
        let addresses = pods.iter().map(address).collect::<Result<Vec<_>>>()?;
        ensure!(addresses.len() == 2, "{addresses:?}");
        let (_, answers) = fifty(&scene, "two", &addresses).await?;
        let cold = answers.iter().filter(|answer| answer.header("rouse-cold-start") == Some("true")).count();
        let numbers: Vec<i64> = writes(&scene, &revision)?.iter().map(|write| write.replicas).collect();
        tell(format_args!("{REQUESTS} at once over two activators: {cold} cold, writes {numbers:?}"));
        // Each sees its 25, the leader sees all of them, and nobody lowers what another raised.
        let last = numbers.last().copied().context("no write")?;
        ensure!((3..=NEED).contains(&last) && numbers.is_sorted(), "the writes were {numbers:?}");
        // Zero needs the silence of both.
        scene.at_zero("two").await?;

        // A request in flight in an activator that is asked to end is finished by it.
        let (leaving, host) = (pods.first().context("no pod")?, scene.host("two"));
        let mut connection = Connection::open(addresses[0]).await?;
        let (slow, deleted) = tokio::join!(connection.get(&host, "/sleep?ms=8000"), async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            rouse.delete(leaving).await
        });
        deleted?;
        let slow = slow.context("the activator that was deleted broke it off")?;
        ensure!(slow.status == 200, "in flight in a deleted activator: {} {}", slow.status, slow.text());
        rouse.settled(install::ACTIVATOR).await?;
        scene.at_zero("two").await.context("after an activator was replaced")
    });
}
