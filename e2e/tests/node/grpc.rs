//! gRPC through the activator.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::scene::{PATIENCE, Scene, scene};
use futures::StreamExt;
use http::uri::PathAndQuery;
use kube::ResourceExt;
use serde_json::json;
use tokio::time::timeout;
use tonic::{
    Code, Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// Any message will do: the test application sends it back unread.
#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
}

fn note(text: &str) -> Note {
    Note { text: text.to_owned() }
}

fn codec() -> ProstCodec<Note, Note> {
    ProstCodec::default()
}

async fn client(scene: &Scene, function: &str) -> Result<Grpc<Channel>> {
    let endpoint = Endpoint::from_shared(format!("http://{}", scene.entry))?
        .origin(format!("http://{}", scene.host(function)).parse()?)
        .timeout(PATIENCE);
    let mut client = Grpc::new(endpoint.connect().await?);
    client.ready().await?;
    Ok(client)
}

async fn unary(client: &mut Grpc<Channel>, method: &'static str) -> Result<tonic::Response<Note>, Status> {
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    client.unary(Request::new(note("hello")), PathAndQuery::from_static(method), codec()).await
}

#[test]
fn grpc_works_from_zero() {
    scene("grpc", async |scene| {
        scene.function("grpc", json!({"protocol": "H2C"})).await?;
        let mut client = client(&scene, "grpc").await?;
        let answer = unary(&mut client, "/echo.Echo/Unary").await?;
        ensure!(
            answer.metadata().get("rouse-cold-start").is_some_and(|cold| cold == "true"),
            "{:?}",
            answer.metadata()
        );
        ensure!(answer.into_inner() == note("hello"));
        // A status of the application's own comes through, in the head and in trailers.
        let failed = unary(&mut client, "/echo.Echo/Fail").await.err().context("Fail succeeded")?;
        ensure!(failed.code() == Code::Internal && failed.message() == "failing, as told", "{failed:?}");
        let unknown = unary(&mut client, "/echo.Echo/Nothing").await.err().context("Nothing succeeded")?;
        ensure!(unknown.code() == Code::Unimplemented && unknown.message() == "no such method", "{unknown:?}");
        Ok(())
    });
}

#[test]
fn grpc_streams_both_ways() {
    scene("grpcs", async |scene| {
        scene.function("grpcs", json!({"protocol": "H2C"})).await?;
        let mut client = client(&scene, "grpcs").await?;
        let mut request = Request::new(note("again"));
        request.metadata_mut().insert("x-count", 4.into());
        request.metadata_mut().insert("x-interval-ms", 2000.into());
        let path = PathAndQuery::from_static("/echo.Echo/Stream");
        let mut answers = client.server_streaming(request, path, codec()).await?.into_inner();
        let mut arrivals = Vec::new();
        while let Some(answer) = answers.message().await? {
            ensure!(answer == note("again"));
            arrivals.push(Instant::now());
        }
        let gaps: Vec<Duration> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
        // All at once would be what a proxy that collects the body makes of it; one that comes late is a busy machine's doing.
        ensure!(gaps.len() == 3 && gaps.iter().all(|gap| *gap > Duration::from_millis(500)), "{gaps:?}");
        // Each message is sent once the one before it is back.
        client.ready().await?;
        let (next, told) = tokio::sync::mpsc::channel::<Note>(1);
        let asked = futures::stream::unfold(told, |mut told| async { told.recv().await.map(|note| (note, told)) });
        next.send(note("0")).await?;
        let path = PathAndQuery::from_static("/echo.Echo/Chat");
        let mut answers = client.streaming(Request::new(asked.boxed()), path, codec()).await?.into_inner();
        for n in 0..5 {
            let answer = timeout(PATIENCE, answers.message()).await.context("no answer")??.context("an early end")?;
            ensure!(answer == note(&n.to_string()), "{answer:?}");
            next.send(note(&(n + 1).to_string())).await?;
        }
        drop(next);
        ensure!(answers.message().await? == Some(note("5")) && answers.message().await?.is_none());
        Ok(())
    });
}

#[test]
fn a_grpc_caller_gets_a_grpc_status_from_rouse() {
    scene("status", async |scene| {
        let mut nobody = client(&scene, "nobody").await?;
        let missing =
            unary(&mut nobody, "/echo.Echo/Unary").await.err().context("a function that is not there answered")?;
        // tonic makes Unknown or Unimplemented of an answer without a grpc-status; ours carries words of its own.
        ensure!(missing.code() == Code::Unimplemented || missing.code() == Code::NotFound, "{missing:?}");
        ensure!(missing.message().contains("nobody"), "{missing:?}");
        let paused = scene.apply_function("paused", json!({"protocol": "H2C", "scaling": {"mode": "Paused"}})).await?;
        let name = paused.name_any();
        scene
            .function_when(&name, "looked at", |f| f.status.as_ref().is_some_and(|s| s.observed_generation == 1))
            .await?;
        let mut paused = client(&scene, "paused").await?;
        let refused = unary(&mut paused, "/echo.Echo/Unary").await.err().context("a paused function answered")?;
        ensure!(refused.code() == Code::Unavailable && !refused.message().is_empty(), "{refused:?}");
        Ok(())
    });
}
