//! Every folder of `examples/`: the commands of its README, literally. And those of the tutorial.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use e2e::{
    kube,
    pages::follow,
    repository,
    scene::{PATIENCE, Scene, scene},
};

#[test]
fn hello_image() {
    follow("hello-image", "examples/hello-image/README.md");
}

#[test]
fn hello_python() {
    follow("hello-python", "examples/hello-python/README.md");
}

#[test]
fn hello_node() {
    follow("hello-node", "examples/hello-node/README.md");
}

#[test]
fn env_and_secret() {
    follow("env-and-secret", "examples/env-and-secret/README.md");
}

#[test]
fn route() {
    follow("route", "examples/route/README.md");
}

#[test]
fn websocket() {
    follow("websocket", "examples/websocket/README.md");
}

#[test]
fn sse() {
    follow("sse", "examples/sse/README.md");
}

#[test]
fn grpc() {
    follow("grpc", "examples/grpc/README.md");
}

#[test]
fn warm_minimum() {
    follow("warm-minimum", "examples/warm-minimum/README.md");
}

#[test]
fn tuned() {
    follow("tuned", "examples/tuned/README.md");
}

#[test]
fn tutorial() {
    follow("tutorial", "docs/tutorial.md");
}

#[test]
fn no_example_is_without_a_test() {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        found.insert(entry.unwrap().file_name().to_string_lossy().into_owned());
    }
    // The list of all.
    found.remove("README.md");
    let tested = [
        "env-and-secret",
        "grpc",
        "hello-image",
        "hello-node",
        "hello-python",
        "route",
        "sse",
        "tuned",
        "warm-minimum",
        "websocket",
    ];
    assert_eq!(found, BTreeSet::from(tested.map(str::to_owned)), "give each example a test here");
}

/// The function of `hello-image`.
fn apply_hello(scene: &Scene) -> Result<()> {
    let folder = repository().join("examples/hello-image").display().to_string();
    scene.kubectl(&["apply", "-f", &folder], "")?;
    scene.kubectl(&["wait", "--for=condition=Ready", "--timeout=90s", "rfn/hello"], "")?;
    Ok(())
}

/// `kubectl describe` is where people look when something is wrong.
#[test]
fn describe_shows_what_happened_and_why() {
    scene("describe", async |scene| {
        apply_hello(&scene)?;
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
        let function = fs::read_to_string(repository().join("examples/hello-image/function.yaml"))?;
        fs::write(folder.path().join("templates/function.yaml"), function)?;
        let chart = folder.path().display().to_string();
        let install = |release: &str, timeout: &str| {
            let fixed = ["install", release, &chart, "--namespace", &scene.namespace, "--wait", "--timeout", timeout];
            kube::helm(&scene.cluster, &fixed)
        };
        kube::succeed(install("app", "90s")?)?;
        // The moment Helm is done, the function is.
        let function = scene.api::<crds::Function>().get("hello").await?;
        ensure!(e2e::scene::holds(&function, crds::ConditionType::Ready), "{:?}", function.status);
        kube::succeed(kube::helm(&scene.cluster, &["uninstall", "app", "--namespace", &scene.namespace, "--wait"])?)?;
        ensure!(scene.api::<crds::Function>().get_opt("hello").await?.is_none());
        // One that cannot become ready makes the installation fail.
        let taken = serde_json::json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"},
            "spec": {"ports": [{"port": 80}]}});
        e2e::scene::until("the name is free", PATIENCE, async || Ok(scene.create(taken.clone()).await.ok())).await?;
        let refused = install("again", "20s")?;
        ensure!(!refused.status.success(), "Helm took a stalled Function for ready");
        Ok(())
    });
}
