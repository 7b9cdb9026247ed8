//! What a Function makes under its name, what it leaves alone, and what it leaves behind.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use crds::{ConditionType, Function, Reason, condition, names};
use e2e::{
    http::{self as client, streaming::Begun},
    inventory,
    record::Record,
    scene::{APP, APP_2, PATIENCE, Scene, holds, scene, tell, until},
};
use k8s_openapi::api::core::v1::{Pod, Service, ServiceAccount};
use kube::{
    ResourceExt,
    api::{DeleteParams, DynamicObject, PostParams, PropagationPolicy},
};
use serde_json::{Value, json};
use std::time::Instant;

async fn gone(scene: &Scene, before: &BTreeSet<String>) -> Result<()> {
    let mut left = Vec::new();
    let gone = until("all is gone", PATIENCE * 2, async || {
        left = inventory::namespace(&scene.client, &scene.namespace).await?.difference(before).cloned().collect();
        Ok(left.is_empty().then_some(()))
    });
    gone.await.with_context(|| format!("left behind: {left:?}"))
}

#[test]
fn a_deleted_function_leaves_nothing() {
    scene("gone", async |scene| {
        // What every namespace has: the default ServiceAccount and the root certificate.
        let before = until("the namespace is furnished", PATIENCE, async || {
            let found = inventory::namespace(&scene.client, &scene.namespace).await?;
            Ok((found.len() >= 2).then_some(found))
        })
        .await?;
        for (awake, propagation) in [
            (false, PropagationPolicy::Background),
            (true, PropagationPolicy::Background),
            (true, PropagationPolicy::Foreground),
        ] {
            scene.function("passing", json!({})).await?;
            if awake {
                ensure!(scene.get("passing", "/").await?.status == 200);
            }
            // Beside the Function: Deployment, ReplicaSet, Service, ServiceAccount; and the pod while there is one. A
            // Function is Ready before Kubernetes has made the ReplicaSet.
            let wanted = if awake { 6 } else { 5 };
            let mut made = Vec::new();
            let all = until("all is made", PATIENCE, async || {
                made =
                    inventory::namespace(&scene.client, &scene.namespace).await?.difference(&before).cloned().collect();
                Ok((made.len() == wanted).then_some(()))
            });
            all.await.with_context(|| format!("made: {made:?}"))?;
            let how = DeleteParams { propagation_policy: Some(propagation), ..DeleteParams::default() };
            scene.api::<Function>().delete("passing", &how).await?;
            let began = Instant::now();
            gone(&scene, &before).await.with_context(|| format!("awake: {awake}"))?;
            tell(format!("awake: {awake}: nothing left after {:?}", began.elapsed()));
            client::get(scene.entry, &scene.host("passing"), "/", PATIENCE).await?.problem(404)?;
        }
        Ok(())
    });
}

#[test]
fn a_deletion_answers_those_who_wait_and_lets_the_rest_finish() {
    scene("deleted", async |scene| {
        let never = json!([{"name": "START_DELAY_MS", "value": "30000"}]);
        scene.function("held", json!({"env": never})).await?;
        scene.function("busy", json!({})).await?;
        ensure!(scene.get("busy", "/").await?.status == 200);
        let busy = Begun::events(scene.entry, &scene.host("busy"), 15, PATIENCE).await?;
        let (held, deleted) = tokio::join!(scene.get("held", "/"), async {
            until("both are under way", PATIENCE, async || Ok((!scene.pods("held").await?.is_empty()).then_some(())))
                .await?;
            for function in ["held", "busy"] {
                scene.api::<Function>().delete(function, &DeleteParams::default()).await?;
            }
            anyhow::Ok(())
        });
        deleted?;
        let problem = held?.problem(404)?;
        ensure!(problem["detail"].as_str().is_some_and(|text| text.contains("deleted")), "{problem}");
        busy.end(PATIENCE).await.context("a request in flight when its function was deleted")
    });
}

/// Creates the foreign object, then the Function, which must step back; gives the object as it was.
async fn taken(scene: &Scene, function: &str, foreign: Value) -> Result<DynamicObject> {
    let foreign = scene.create(foreign).await?;
    scene.apply_function(function, json!({})).await?;
    let refused = |f: &Function| {
        let conditions = f.status.as_ref().map(|s| s.conditions.clone()).unwrap_or_default();
        let has = |kind, status: &str| {
            condition::find(&conditions, kind)
                .is_some_and(|c| c.status == status && c.reason == Reason::NameTaken.as_str())
        };
        has(ConditionType::Stalled, "True") && has(ConditionType::Ready, "False")
    };
    let function = scene.function_when(function, "NameTaken", refused).await?;
    let conditions = function.status.unwrap_or_default().conditions;
    let message = condition::find(&conditions, ConditionType::Stalled).map(|c| c.message.clone()).unwrap_or_default();
    ensure!(message.contains(&foreign.name_any()), "{message}");
    tell(format!("NameTaken: {message}"));
    Ok(foreign)
}

#[test]
fn a_foreign_service_is_left_alone() {
    scene("service", async |scene| {
        let spec = json!({"selector": {"app": "foreign"}, "ports": [{"port": 80}]});
        let foreign = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hello"}, "spec": spec});
        let pods = Record::<Pod>::start(scene.api(), "").await?;
        let before = taken(&scene, "hello", foreign).await?;
        // A second pass, by a change of the Function, must not touch it either.
        let function = scene.change_function("hello", json!({"image": APP_2})).await?;
        let seen = |f: &Function| {
            f.status.as_ref().is_some_and(|s| Some(s.observed_generation) == function.metadata.generation)
        };
        scene.function_when("hello", "looked at again", seen).await?;
        let after = scene.api::<Service>().get("hello").await?;
        ensure!(
            after.resource_version() == before.resource_version() && after.uid() == before.uid(),
            "{}",
            json!(after)
        );
        ensure!(pods.names().is_empty());
        let table = scene.kubectl(&["get", "rfn", "-o", "wide"], "")?;
        ensure!(table.contains("NameTaken"), "{table}");
        // Deleting the Function leaves it, too.
        scene.api::<Function>().delete("hello", &DeleteParams::default()).await?;
        until("it is gone", PATIENCE, async || {
            Ok(scene.api::<Function>().get_opt("hello").await?.is_none().then_some(()))
        })
        .await?;
        ensure!(scene.api::<Service>().get("hello").await?.resource_version() == before.resource_version());
        // And once the name is free, a waiting Function takes it by itself.
        scene.apply_function("hello", json!({})).await?;
        scene.function_when("hello", "Stalled", |f| holds(f, ConditionType::Stalled)).await?;
        scene.api::<Service>().delete("hello", &DeleteParams::default()).await?;
        let freed = Instant::now();
        scene.function_when("hello", "Ready", |f| holds(f, ConditionType::Ready)).await?;
        tell(format!("Ready {:?} after the name was free", freed.elapsed()));
        ensure!(scene.get("hello", "/").await?.status == 200);
        Ok(())
    });
}

#[test]
fn a_foreign_service_account_is_left_alone() {
    scene("account", async |scene| {
        let name = names::service_account("hello");
        let foreign = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
        let before = taken(&scene, "hello", foreign).await?;
        let after = scene.api::<ServiceAccount>().get(&name).await?;
        ensure!(
            after.resource_version() == before.resource_version() && after.owner_references().is_empty(),
            "{}",
            json!(after)
        );
        Ok(())
    });
}

/// A pod that fetches `url` once from inside the cluster, as another application would; gives what it printed.
async fn fetched_inside(scene: &Scene, name: &str, arguments: Value) -> Result<(bool, String)> {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "caller", "image": APP, "imagePullPolicy": "Never", "args": arguments,
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let pods = scene.api::<Pod>();
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    let phase = until("the caller is done", PATIENCE + PATIENCE, async || {
        let phase = pods.get(name).await?.status.and_then(|s| s.phase).unwrap_or_default();
        Ok(["Succeeded", "Failed"].contains(&phase.as_str()).then_some(phase))
    });
    let fine = phase.await? == "Succeeded";
    // Either way it says something, which may be on its way to the log.
    let said = until("the caller's words", PATIENCE, async || {
        let said = pods.logs(name, &Default::default()).await?;
        Ok((!said.is_empty()).then_some(said))
    });
    Ok((fine, said.await?))
}

#[test]
fn a_function_has_its_name_inside_the_cluster() {
    scene("inside", async |scene| {
        // Awake for as long as the callers take to start.
        scene.function("hello", json!({"scaling": {"windowSeconds": 3600}})).await?;
        let service = scene.api::<Service>().get("hello").await?.spec.unwrap_or_default();
        ensure!(service.type_.as_deref() == Some("ExternalName"), "{}", json!(service));
        let host = scene.host("hello");
        for (n, host) in [host.clone(), format!("{host}.svc"), format!("{host}.svc.cluster.local")].iter().enumerate() {
            let cold = if n == 0 { "true" } else { "false" };
            let header = format!("--expect-header=rouse-cold-start: {cold}");
            let arguments = json!(["get", format!("http://{host}/"), "--within-seconds=60", header]);
            let (fine, said) = fetched_inside(&scene, &format!("caller-{n}"), arguments).await?;
            ensure!(fine && said.contains("hello from hello-"), "{host}: {said}");
        }
        // The bare name resolves, since the Service is of this namespace, but says nothing of it.
        let problem = client::get(scene.entry, "hello", "/", PATIENCE).await?.problem(404)?;
        let detail = problem["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains("http://hello.NAMESPACE"), "{problem}");
        Ok(())
    });
}
