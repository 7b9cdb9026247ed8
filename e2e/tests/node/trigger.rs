//! Triggers: which requests reach a function by a host name of the user's own.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use crds::{ConditionType, Reason, Trigger, condition};
use e2e::{
    http::{self as client, Answer},
    scene::{PATIENCE, Scene, scene, tell, until},
};
use http::{Request, header::HOST};
use http_body_util::Full;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::time::Instant;

/// A host of the test's own: tests run side by side, and a host belongs to one Trigger in the whole cluster.
fn host(scene: &Scene) -> String {
    format!("api.{}.example.com", scene.namespace)
}

async fn call(scene: &Scene, method: &str, host: &str, path: &str) -> Result<Answer> {
    let request = Request::builder().method(method).uri(path).header(HOST, host).body(Full::new(Bytes::new()))?;
    client::send(scene.entry, request, PATIENCE).await
}

/// Waits until the Trigger's Ready has this reason; gives its status and message.
async fn judged(scene: &Scene, name: &str, reason: Reason) -> Result<(bool, String)> {
    let mut last = String::new();
    let judged = until("the Trigger is judged", PATIENCE, async || {
        let trigger = scene.api::<Trigger>().get(name).await?;
        let status = trigger.status.unwrap_or_default();
        last = json!(status).to_string();
        let ready = condition::find(&status.conditions, ConditionType::Ready).cloned();
        let current = Some(status.observed_generation) == trigger.metadata.generation;
        Ok(ready.filter(|c| current && c.reason == reason.as_str()).map(|c| (c.status == "True", c.message)))
    });
    judged.await.with_context(|| format!("{name} is not {reason}: {last}"))
}

/// A function that answers /env?name=WHO with its own name.
async fn named(scene: &Scene, name: &str) -> Result<()> {
    scene.function(name, json!({"env": [{"name": "WHO", "value": name}], "resources": {"memory": "16Mi"}})).await?;
    Ok(())
}

/// Waits until `GET HOST/env?name=WHO` says `who`.
async fn reaches(scene: &Scene, host: &str, path: &str, who: &str) -> Result<()> {
    let mut last = String::new();
    let reached = until("the route leads there", PATIENCE, async || {
        let answer = call(scene, "GET", host, path).await?;
        last = format!("{} {}", answer.status, answer.text());
        Ok((answer.status == 200 && answer.text() == who).then_some(()))
    });
    reached.await.with_context(|| format!("{host}{path} does not reach {who}: {last}"))
}

#[test]
fn a_trigger_routes_its_method_and_path_and_nothing_else() {
    scene("route", async |scene| {
        scene.function("uploads", json!({})).await?;
        let (host, began) = (host(&scene), Instant::now());
        let http = json!({"hosts": [host], "path": {"type": "Prefix", "value": "/upload"}, "methods": ["POST"]});
        scene.apply_trigger("uploads", json!({"functionRef": {"name": "uploads"}, "http": http})).await?;
        let (ready, message) = judged(&scene, "uploads", Reason::Routed).await?;
        ensure!(ready, "Routed, but not Ready: {message}");
        tell(format!("Routed {:?} after apply", began.elapsed()));
        ensure!(scene.pods("uploads").await?.is_empty());
        // The activator may hear of it after the operator. Until then the host is nobody's, which starts nothing.
        let answer = until("the route is there", PATIENCE, async || {
            let answer = call(&scene, "POST", &host, "/upload").await?;
            Ok((answer.status != 421).then_some(answer))
        })
        .await?;
        ensure!(answer.status == 200 && answer.text() == "0\n", "{} {}", answer.status, answer.text());
        ensure!(answer.header("rouse-cold-start") == Some("true"), "{:?}", answer.headers);
        // The host in every way of writing it; the application's own 404 shows that it was reached.
        for (written, path) in [
            (host.to_uppercase(), "/upload"),
            (format!("{host}:8080"), "/upload?a=b"),
            (format!("{host}."), "/upload"),
            (host.clone(), "/upload/a/b"),
        ] {
            let answer = call(&scene, "POST", &written, path).await?;
            let own = if path.ends_with('b') && !path.contains('?') { "no such path\n" } else { "0\n" };
            ensure!(answer.text() == own, "{written}{path}: {} {}", answer.status, answer.text());
        }
        for path in ["/", "/uploads", "/other/upload", "/Upload"] {
            let problem = call(&scene, "POST", &host, path).await?.problem(404);
            let problem = problem.with_context(|| path.to_owned())?;
            ensure!(problem["type"].as_str().unwrap_or_default().ends_with("no-such-route"), "{path}: {problem}");
        }
        // The function could take these for other paths than we do.
        for path in ["/upload%2Fa", "/upload/../other", "//upload"] {
            let problem = call(&scene, "POST", &host, path).await?.problem(400).with_context(|| path.to_owned())?;
            ensure!(problem["type"].as_str().unwrap_or_default().ends_with("malformed-request"), "{path}: {problem}");
        }
        for method in ["GET", "PUT", "DELETE"] {
            let answer = call(&scene, method, &host, "/upload").await?;
            answer.problem(405).with_context(|| method.to_owned())?;
            ensure!(answer.header("allow") == Some("POST"), "{method}: {:?}", answer.headers);
        }
        call(&scene, "POST", &format!("x{host}"), "/upload").await?.problem(421)?;
        scene.api::<Trigger>().delete("uploads", &DeleteParams::default()).await?;
        until("the route is gone", PATIENCE, async || {
            let answer = call(&scene, "POST", &host, "/upload").await?;
            Ok((answer.status == 421).then_some(()))
        })
        .await
    });
}

#[test]
fn the_older_of_two_triggers_keeps_the_route_and_the_younger_inherits_it() {
    scene("conflict", async |scene| {
        named(&scene, "one").await?;
        named(&scene, "two").await?;
        let host = host(&scene);
        let spec = |function: &str, paths: Value, methods: Value| json!({"functionRef": {"name": function}, "http": {"hosts": [host], "path": paths, "methods": methods}});
        let prefix = json!({"type": "Prefix", "value": "/env"});
        // By name alone the younger one would win.
        let older = scene.apply_trigger("b-older", spec("one", prefix.clone(), json!(["GET"]))).await?;
        judged(&scene, "b-older", Reason::Routed).await?;
        // creationTimestamp counts whole seconds.
        until("another second", PATIENCE, async || {
            let probe = scene
                .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "clock-"}}))
                .await?;
            Ok((probe.metadata.creation_timestamp > older.metadata.creation_timestamp).then_some(()))
        })
        .await?;
        scene.apply_trigger("a-younger", spec("two", prefix.clone(), json!(["POST", "GET"]))).await?;
        let (ready, message) = judged(&scene, "a-younger", Reason::RouteConflict).await?;
        ensure!(!ready && message.contains("b-older"), "{message}");
        tell(format!("RouteConflict: {message}"));
        reaches(&scene, &host, "/env?name=WHO", "one").await?;
        // It claims nothing at all, not even the method that nobody else has.
        call(&scene, "POST", &host, "/env").await?.problem(405)?;
        let conditions = scene.api::<Trigger>().get("a-younger").await?.status.unwrap_or_default().conditions;
        ensure!(condition::is_true(&conditions, ConditionType::Stalled), "{}", json!(conditions));
        ensure!(judged(&scene, "b-older", Reason::Routed).await?.0);
        // Beside them: another path of the host, and another method of the path, are no conflict.
        scene.apply_trigger("c-path", spec("two", json!({"type": "Exact", "value": "/env/deep"}), json!([]))).await?;
        scene.apply_trigger("d-method", spec("two", prefix, json!(["PUT"]))).await?;
        for name in ["c-path", "d-method"] {
            ensure!(judged(&scene, name, Reason::Routed).await?.0, "{name}");
        }
        scene.api::<Trigger>().delete("b-older", &DeleteParams::default()).await?;
        let gone = Instant::now();
        reaches(&scene, &host, "/env?name=WHO", "two").await?;
        tell(format!("the younger took over after {:?}", gone.elapsed()));
        ensure!(judged(&scene, "a-younger", Reason::Routed).await?.0);
        Ok(())
    });
}

#[test]
fn the_longest_path_wins_and_an_exact_one_first() {
    scene("paths", async |scene| {
        for name in ["root", "prefix", "exact"] {
            named(&scene, name).await?;
        }
        let host = host(&scene);
        for (name, path) in [
            ("root", json!(null)),
            ("prefix", json!({"type": "Prefix", "value": "/env"})),
            ("exact", json!({"type": "Exact", "value": "/env"})),
        ] {
            let mut http = json!({"hosts": [host]});
            if !path.is_null() {
                http["path"] = path;
            }
            scene.apply_trigger(name, json!({"functionRef": {"name": name}, "http": http})).await?;
            judged(&scene, name, Reason::Routed).await?;
        }
        reaches(&scene, &host, "/env?name=WHO", "exact").await?;
        scene.api::<Trigger>().delete("exact", &DeleteParams::default()).await?;
        reaches(&scene, &host, "/env?name=WHO", "prefix").await?;
        scene.api::<Trigger>().delete("prefix", &DeleteParams::default()).await?;
        reaches(&scene, &host, "/env?name=WHO", "root").await?;
        let answer = call(&scene, "OPTIONS", &host, "/anything").await?;
        ensure!(answer.text() == "no such path\n", "{} {}", answer.status, answer.text());
        Ok(())
    });
}

#[test]
fn a_trigger_waits_for_its_function() {
    scene("waits", async |scene| {
        let host = host(&scene);
        let spec = json!({"functionRef": {"name": "later"}, "http": {"hosts": [host]}});
        scene.apply_trigger("later", spec).await?;
        let (ready, message) = judged(&scene, "later", Reason::FunctionNotFound).await?;
        ensure!(!ready && message.contains("later"), "{message}");
        named(&scene, "later").await?;
        ensure!(judged(&scene, "later", Reason::Routed).await?.0);
        reaches(&scene, &host, "/env?name=WHO", "later").await?;
        scene.api::<crds::Function>().delete("later", &DeleteParams::default()).await?;
        judged(&scene, "later", Reason::FunctionNotFound).await?;
        // The activator may hear of it after the operator.
        until("nobody answers", PATIENCE, async || {
            Ok((call(&scene, "GET", &host, "/").await?.status >= 400).then_some(()))
        })
        .await
    });
}
