//! The life of an installation, by Helm: upgraded under load, taken away, installed again.

use std::{
    collections::BTreeSet,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::kube::{Api, ResourceExt, api::ListParams};
use anyhow::{Context, Result, anyhow, ensure};
use crds::{ConditionType, Function};
use e2e::{
    cluster::Cluster,
    http, install, inventory, kube,
    record::Record,
    scene::{self, PATIENCE, Scene, holds, tell, until},
};
use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::PodDisruptionBudget},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::installation::{Rouse, disturb};

/// What belongs to every namespace.
const FURNITURE: [&str; 2] = ["ConfigMap kube-root-ca.crt", "ServiceAccount default"];
/// Kinds whose names are not Rouse's doing: the tests' own namespaces, and the node's name.
const OTHERS: [&str; 3] = ["Namespace ", "Node ", "CSINode "];
/// What `crds.keep` keeps, with the API server's own entry for the group.
const CRDS: [&str; 3] = [
    "APIService v1alpha1.rouse.dev",
    "CustomResourceDefinition functions.rouse.dev",
    "CustomResourceDefinition triggers.rouse.dev",
];

/// `helm` that must succeed; gives what it printed.
fn helm(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    kube::succeed(kube::helm(cluster, arguments)?).with_context(|| format!("helm {}", arguments.join(" ")))
}

/// Installs the release, or brings it back, with just these values.
fn install_with(cluster: &Cluster, values: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values)?;
    install::chart_installed(cluster, &["--reset-values".to_owned(), "--values".to_owned(), file.display().to_string()])
}

fn uninstall(cluster: &Cluster) -> Result<String> {
    let fixed = ["uninstall", install::RELEASE, "--namespace", install::NAMESPACE];
    helm(cluster, &[&fixed[..], &["--wait", "--timeout", "2m"]].concat())
}

/// Runs a test that changes the release, alone, and puts the release back with the values that it had.
fn reinstall<F: Future<Output = Result<()>>>(name: &str, test: impl FnOnce(Arc<Scene>, Rouse, String) -> F) {
    disturb(name, |scene, rouse| async move {
        let scene = Arc::new(scene);
        let of = ["get", "values", install::RELEASE, "--namespace", install::NAMESPACE, "--output", "yaml"];
        let values = helm(&scene.cluster, &of)?;
        let limit = Duration::from_secs(420);
        let done = tokio::time::timeout(limit, test(Arc::clone(&scene), rouse, values.clone())).await;
        install_with(&scene.cluster, &values).context("Rouse could not be installed again")?;
        done.unwrap_or_else(|_| Err(anyhow!("not done within {limit:?}")))
    });
}

/// Everything of Rouse's outside of namespaces, and everything in its own.
async fn ours(scene: &Scene) -> Result<BTreeSet<String>> {
    let mut found = inventory::cluster(&scene.client).await?;
    found.retain(|object| object.contains("rouse") && !OTHERS.iter().any(|kind| object.starts_with(kind)));
    let inside = inventory::namespace(&scene.client, install::NAMESPACE).await?;
    found.extend(inside.into_iter().filter(|object| !FURNITURE.contains(&object.as_str())));
    Ok(found)
}

/// Waits for just these to be left. Deleted pods take their time to end, and the Lease goes after its owner.
async fn only(scene: &Scene, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().map(|object| (*object).to_owned()).collect();
    let mut left = BTreeSet::new();
    let done = until("only that is left", 2 * PATIENCE, async || {
        left = ours(scene).await?;
        Ok((left == expected).then_some(()))
    });
    done.await.with_context(|| format!("left are {left:?} and not {expected:?}"))
}

/// The new Service's address, once kube-proxy leads it to the activator: a moment after the pod is ready.
async fn entered(scene: &Scene) -> Result<SocketAddr> {
    let entry = scene::entry(&scene.client).await?;
    until("the Service leads somewhere", PATIENCE, async || Ok(http::streaming::connect(entry).await.ok())).await?;
    Ok(entry)
}

#[test]
fn uninstalling_keeps_the_functions_and_installing_again_serves_them() {
    reinstall("keep", async |scene, _, values| {
        let version = helm(&scene.cluster, &["version", "--short"])?;
        ensure!(version.starts_with("v4."), "{version}");
        let never = Record::<Pod>::start(scene.api(), "rouse.dev/function=never").await?;
        scene.function("never", json!({})).await?;
        // It must not be at zero before the operator is gone.
        scene.function("kept", json!({"scaling": {"windowSeconds": 3600}})).await?;
        ensure!(scene.get("kept", "/").await?.status == 200);
        let before = scene.api::<Function>().get("kept").await?;
        let revision = before.status.clone().unwrap_or_default().revision;
        let said = uninstall(&scene.cluster)?;
        tell(said.trim().replace('\n', " · "));
        only(&scene, &CRDS).await?;
        let kept = scene.api::<Function>().get("kept").await?;
        ensure!(kept.uid() == before.uid() && kept.metadata.deletion_timestamp.is_none());
        ensure!(scene.pods("kept").await?.len() == 1, "its pod is gone");
        let began = Instant::now();
        install_with(&scene.cluster, &values)?;
        tell(format!("installed again after {:?}", began.elapsed()));
        let entry = entered(&scene).await?;
        let answer = http::get(entry, &scene.host("kept"), "/", PATIENCE).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        let function = scene.function_when("kept", "Ready", |f| holds(f, ConditionType::Ready)).await?;
        ensure!(function.status.unwrap_or_default().revision == revision, "another revision");
        scene.change_function("kept", json!({"scaling": {"windowSeconds": 6}})).await?;
        scene.at_zero("kept").await?;
        let answer = http::get(entry, &scene.host("kept"), "/", PATIENCE).await?;
        let cold = answer.header("rouse-cold-start") == Some("true");
        ensure!(answer.status == 200 && cold, "{} {}", answer.status, answer.text());
        ensure!(never.names().is_empty(), "started without a request: {:?}", never.names());
        Ok(())
    });
}

#[test]
fn uninstalling_without_keep_leaves_nothing_at_all() {
    reinstall("none", async |scene, _, values| {
        let before = inventory::namespace(&scene.client, &scene.namespace).await?;
        scene.function("one", json!({})).await?;
        scene.function("two", json!({})).await?;
        ensure!(scene.get("one", "/").await?.status == 200);
        install::chart_installed(
            &scene.cluster,
            &["--reset-then-reuse-values", "--set", "crds.keep=false"].map(str::to_owned),
        )?;
        uninstall(&scene.cluster)?;
        only(&scene, &[]).await?;
        let gone = until("nothing of the functions is left", PATIENCE, async || {
            let left = inventory::namespace(&scene.client, &scene.namespace).await?;
            Ok((left.difference(&before).count() == 0).then_some(()))
        });
        gone.await?;
        // And from nothing, as a first user installs it.
        let began = Instant::now();
        install_with(&scene.cluster, &values)?;
        tell(format!("installed from nothing after {:?}", began.elapsed()));
        scene.function("one", json!({})).await?;
        let entry = entered(&scene).await?;
        let answer = http::get(entry, &scene.host("one"), "/", PATIENCE).await?;
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        Ok(())
    });
}

#[test]
fn a_second_release_is_refused_and_harms_nothing() {
    reinstall("second", async |scene, _, _| {
        let before = ours(&scene).await?;
        let chart = install::chart().display().to_string();
        let arguments = ["install", "other", &chart, "--namespace", &scene.namespace, "--wait", "--timeout", "2m"];
        let refused = helm(&scene.cluster, &arguments).err().context("a second Rouse was installed")?;
        let words = format!("{refused:#}");
        ensure!(words.contains("invalid ownership metadata"), "{words}");
        // Helm keeps a record of the attempt.
        let _ = kube::helm(&scene.cluster, &["uninstall", "other", "--namespace", &scene.namespace]);
        ensure!(ours(&scene).await? == before);
        scene.function("fine", json!({})).await?;
        ensure!(scene.get("fine", "/").await?.status == 200);
        Ok(())
    });
}

#[test]
fn upgrades_under_load_fail_no_request() {
    reinstall("upgrade", async |scene, rouse, _| {
        let never = scene.function("never", json!({})).await?;
        scene.function("busy", json!({"resources": {"memory": "32Mi"}})).await?;
        scene.function("napping", json!({"scaling": {"windowSeconds": 6}})).await?;
        ensure!(scene.get("busy", "/").await?.status == 200);
        let pods = Record::<Pod>::start(scene.api(), "rouse.dev/function=never").await?;
        let flow = Flow::start(&scene);
        let replaced = ["operator.podAnnotations.round=2", "activator.podAnnotations.round=2"];
        for (what, replicas, further) in
            [("to two of each", 2, &[][..]), ("all pods replaced", 2, &replaced[..]), ("back to one of each", 1, &[])]
        {
            let began = Instant::now();
            let mut settings = vec!["--reset-then-reuse-values".to_owned()];
            for program in ["operator", "activator"] {
                settings.extend(["--set".to_owned(), format!("{program}.replicas={replicas}")]);
            }
            settings.extend(further.iter().flat_map(|s| ["--set-string".to_owned(), (*s).to_owned()]));
            install::chart_installed(&scene.cluster, &settings)?;
            let ready = began.elapsed();
            // Helm does not wait for those that go, and just then requests could be lost.
            for deployment in [install::OPERATOR, install::ACTIVATOR] {
                rouse.settled(deployment).await?;
            }
            tell(format!("{what}: Helm done after {ready:?}, the last pod gone after {:?}", began.elapsed()));
            let budgets: Api<PodDisruptionBudget> = Api::namespaced(scene.client.clone(), install::NAMESPACE);
            let budgets = budgets.list(&ListParams::default()).await?.items.len();
            ensure!(budgets == if replicas == 2 { 2 } else { 0 }, "{budgets} PodDisruptionBudgets with {replicas}");
        }
        helm(&scene.cluster, &["test", install::RELEASE, "--namespace", install::NAMESPACE])?;
        let (sent, failed) = flow.end().await;
        tell(format!("{sent} requests during the upgrades, {} failed", failed.len()));
        ensure!(failed.is_empty(), "{} of {sent} failed:\n{}", failed.len(), failed.join("\n"));
        ensure!(sent >= 200, "only {sent} requests were sent");
        // One that was never called was not touched.
        ensure!(pods.names().is_empty(), "started: {:?}", pods.names());
        let now = scene.api::<Function>().get("never").await?;
        ensure!(now.status.map(|s| s.revision) == never.status.map(|s| s.revision));
        let crds: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
        ensure!(crds.get("functions.rouse.dev").await?.annotations()["helm.sh/resource-policy"] == "keep");
        Ok(())
    });
}

/// Requests that go on until told to end: twenty a second to a warm function, but every two-hundredth to one that is at
/// zero again by then; each over a connection of its own.
struct Flow {
    ended: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<(usize, Vec<String>)>,
}

impl Flow {
    fn start(scene: &Arc<Scene>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(flow(Arc::clone(scene), Arc::clone(&ended)));
        Self { ended, task }
    }

    async fn end(self) -> (usize, Vec<String>) {
        self.ended.store(true, Ordering::Relaxed);
        self.task.await.unwrap_or_else(|error| (0, vec![error.to_string()]))
    }
}

async fn flow(scene: Arc<Scene>, ended: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (began, mut number, mut requests) = (Instant::now(), 0, JoinSet::new());
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    while !ended.load(Ordering::Relaxed) {
        tick.tick().await;
        number += 1;
        let (scene, at) = (Arc::clone(&scene), began.elapsed());
        requests.spawn(async move {
            // Ten seconds apart, and the window is six.
            let (function, path) = if number % 200 == 0 { ("napping", "/") } else { ("busy", "/sleep?ms=100") };
            match scene.get(function, path).await {
                Ok(answer) if answer.status == 200 => None,
                Ok(answer) => Some(format!("{function} at {at:.1?}: {} {}", answer.status, answer.text())),
                Err(error) => Some(format!("{function} at {at:.1?}: {error:#}")),
            }
        });
    }
    (number, requests.join_all().await.into_iter().flatten().collect())
}
