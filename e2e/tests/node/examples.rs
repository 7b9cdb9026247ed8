//! Every manifest in `examples/`, applied with kubectl and called.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use e2e::{
    http as client, kube, repository,
    scene::{PATIENCE, Scene, scene},
};

fn apply(scene: &Scene, file: &str, ready: &[&str]) -> Result<()> {
    let path = repository().join("examples").join(file).display().to_string();
    scene.kubectl(&["apply", "-f", &path], "")?;
    scene.kubectl(&[&["wait", "--for=condition=Ready", "--timeout=30s"], ready].concat(), "")?;
    Ok(())
}

#[test]
fn hello() {
    scene("hello", async |scene| {
        apply(&scene, "hello.yaml", &["rfn/hello"])?;
        let answer = scene.get("hello", "/").await?;
        ensure!(
            answer.status == 200 && answer.text().starts_with("hello from hello-"),
            "{} {}",
            answer.status,
            answer.text()
        );
        ensure!(answer.header("rouse-cold-start") == Some("true"), "{:?}", answer.headers);
        Ok(())
    });
}

#[test]
fn tuned() {
    scene("tuned", async |scene| {
        apply(&scene, "tuned.yaml", &["rfn/tuned"])?;
        let answer = scene.get("tuned", "/env?name=GREETING").await?;
        ensure!(answer.status == 200 && answer.text() == "good morning", "{} {}", answer.status, answer.text());
        Ok(())
    });
}

#[test]
fn route() {
    scene("uploads", async |scene| {
        apply(&scene, "route.yaml", &["rfn/uploads", "rtr/uploads"])?;
        let body = Bytes::from_static(b"12345");
        let answer = client::post(scene.entry, "api.example.com", "/uploads", body.clone(), PATIENCE).await?;
        // The test application knows no such path; that it says so itself shows that it was reached.
        ensure!(answer.text() == "no such path\n", "{} {}", answer.status, answer.text());
        client::post(scene.entry, "api.example.com", "/other", body, PATIENCE).await?.problem(404)?;
        client::get(scene.entry, "api.example.com", "/uploads", PATIENCE).await?.problem(405)?;
        Ok(())
    });
}

#[test]
fn no_example_is_without_a_test() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        found.insert(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    let tested = ["hello.yaml", "route.yaml", "tuned.yaml"].map(str::to_owned);
    assert_eq!(found, BTreeSet::from(tested), "give each example a test here");
}

/// `kubectl describe` is where people look when something is wrong.
#[test]
fn describe_shows_what_happened_and_why() {
    scene("describe", async |scene| {
        apply(&scene, "hello.yaml", &["rfn/hello"])?;
        let well = scene.kubectl(&["describe", "rfn", "hello"], "")?;
        for words in ["Ready", "ScaledToZero", "Observed Generation:", "Addressable", "SourceValid", "Events:"] {
            ensure!(well.contains(words), "{words:?} is not in:\n{well}");
        }
        scene.apply_function("lost", serde_json::json!({"image": "127.0.0.1:1/x:1"})).await?;
        scene
            .function_when("lost", "looked at", |f| f.status.as_ref().is_some_and(|s| s.observed_generation == 1))
            .await?;
        let problem = scene.get("lost", "/").await?.problem(503)?;
        let reason = problem["reason"].as_str().context("no reason")?.to_owned();
        let described = e2e::scene::until("describe says so", PATIENCE, async || {
            let page = scene.kubectl(&["describe", "rfn", "lost"], "")?;
            let events = page.split_once("Events:").map(|(_, events)| events.to_owned()).unwrap_or_default();
            Ok((page.contains("ImagePullError") && events.contains("Warning")).then_some(page))
        });
        let page = described.await?;
        ensure!(reason == "ImagePullError" && page.contains("127.0.0.1:1/x"), "{reason}\n{page}");
        Ok(())
    });
}

/// Helm 4 waits by kstatus: for a Function as for its own kinds, and no longer than it makes sense.
#[test]
fn helm_waits_for_a_function_of_another_chart() {
    scene("helm", async |scene| {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("templates"))?;
        fs::write(folder.path().join("Chart.yaml"), "{apiVersion: v2, name: app, version: 0.1.0}")?;
        let function = fs::read_to_string(repository().join("examples/hello.yaml"))?;
        fs::write(folder.path().join("templates/function.yaml"), function)?;
        let chart = folder.path().display().to_string();
        let install = |release: &str| {
            let fixed = ["install", release, &chart, "--namespace", &scene.namespace, "--wait", "--timeout", "20s"];
            kube::helm(&scene.cluster, &fixed)
        };
        kube::succeed(install("app")?)?;
        // The moment Helm is done, the function is.
        let function = scene.api::<crds::Function>().get("hello").await?;
        ensure!(e2e::scene::holds(&function, crds::ConditionType::Ready), "{:?}", function.status);
        kube::succeed(kube::helm(&scene.cluster, &["uninstall", "app", "--namespace", &scene.namespace, "--wait"])?)?;
        ensure!(scene.api::<crds::Function>().get_opt("hello").await?.is_none());
        // One that cannot become ready makes the installation fail.
        let taken = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"},
            "spec": {"ports": [{"port": 80}]}});
        e2e::scene::until("the name is free", PATIENCE, async || Ok(scene.create(taken.clone()).await.ok())).await?;
        let refused = install("again")?;
        ensure!(!refused.status.success(), "Helm took a stalled Function for ready");
        Ok(())
    });
}
