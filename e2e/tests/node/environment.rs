//! What a program finds in its pod: variables and files from ConfigMaps and Secrets, under the restricted Pod Security
//! level that every test namespace enforces.

use anyhow::{Context, Result, ensure};
use e2e::scene::{Scene, scene};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

async fn variable(scene: &Scene, function: &str, name: &str) -> Result<Option<String>> {
    let answer = scene.get(function, &format!("/env?name={name}")).await?;
    match answer.status {
        200 => Ok(Some(answer.text())),
        404 if answer.text() == "not set\n" => Ok(None),
        other => anyhow::bail!("{name}: {other} {}", answer.text()),
    }
}

async fn furnish(scene: &Scene) -> Result<()> {
    let settings = json!({"COLOUR": "blue", "size": "large"});
    scene
        .create(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": settings}))
        .await?;
    let keys = json!({"TOKEN": "hidden", "user": "me"});
    scene
        .create(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": keys}))
        .await?;
    Ok(())
}

#[test]
fn variables_come_from_values_config_maps_secrets_and_the_pod() {
    scene("env", async |scene| {
        furnish(&scene).await?;
        let from = |kind: &str, name: &str, key: &str| json!({kind: {"name": name, "key": key}});
        let env = json!([
            {"name": "PLAIN", "value": "a b=c"},
            {"name": "BASE", "value": "http"},
            {"name": "COMPOSED", "value": "$(BASE)://x"},
            {"name": "SIZE", "valueFrom": from("configMapKeyRef", "settings", "size")},
            {"name": "USER_NAME", "valueFrom": from("secretKeyRef", "keys", "user")},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "MEMORY", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
        ]);
        let env_from = json!([{"configMapRef": {"name": "settings"}}, {"prefix": "KEY_", "secretRef": {"name": "keys"}},
            {"configMapRef": {"name": "not-there", "optional": true}}]);
        let spec = json!({"env": env, "envFrom": env_from, "port": 9000, "resources": {"memory": "24Mi"}});
        scene.function("env", spec).await?;
        for (name, value) in [
            ("PLAIN", "a b=c"),
            ("COMPOSED", "http://x"),
            ("SIZE", "large"),
            ("USER_NAME", "me"),
            ("COLOUR", "blue"),
            ("KEY_TOKEN", "hidden"),
            ("MEMORY", "25165824"),
            ("PORT", "9000"),
        ] {
            let seen = variable(&scene, "env", name).await?;
            ensure!(seen.as_deref() == Some(value), "{name} is {seen:?}");
        }
        let pod = scene.pods("env").await?.pop().and_then(|pod| pod.status?.pod_ip).context("no pod")?;
        ensure!(variable(&scene, "env", "POD_IP").await?.as_deref() == Some(pod.as_str()));
        Ok(())
    });
}

#[test]
fn volumes_of_every_kind_are_mounted() {
    scene("mounts", async |scene| {
        furnish(&scene).await?;
        let mounts = json!([
            {"path": "/settings", "configMap": {"name": "settings"}},
            {"path": "/keys", "secret": {"name": "keys"}},
            {"path": "/scratch", "emptyDir": {"sizeLimit": "1Mi"}},
        ]);
        scene.function("mounts", json!({"mounts": mounts, "pod": {"readOnlyRootFilesystem": true}})).await?;
        ensure!(scene.get_mounted(&scene.host("mounts"), "/").await?.status == 200);
        let pod = scene.pods("mounts").await?.pop().context("no pod")?;
        let spec = pod.spec.context("a pod without a spec")?;
        let seen: Vec<(String, bool)> = spec.containers[0]
            .volume_mounts
            .iter()
            .flatten()
            .map(|mount| (mount.mount_path.clone(), mount.read_only.unwrap_or(false)))
            .collect();
        ensure!(
            seen.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>() == ["/settings", "/keys", "/scratch"],
            "{seen:?}"
        );
        Ok(())
    });
}

#[test]
fn a_pod_is_as_lean_and_as_confined_as_designed() {
    scene("lean", async |scene| {
        scene.function("lean", json!({"resources": {"memory": "128Mi"}})).await?;
        ensure!(scene.get("lean", "/").await?.status == 200);
        let pod: Pod = scene.pods("lean").await?.pop().context("no pod")?;
        let pod: Value = json!(pod);
        let spec = &pod["spec"];
        // Each of these costs a start 10 to 300 ms, or weakens the pod.
        ensure!(spec["volumes"].is_null() && spec["containers"][0]["volumeMounts"].is_null(), "volumes: {spec}");
        ensure!(spec["automountServiceAccountToken"] == false && spec["enableServiceLinks"] == false, "{spec}");
        ensure!(
            spec["containers"].as_array().is_some_and(|all| all.len() == 1) && spec["initContainers"].is_null(),
            "{spec}"
        );
        let container = &spec["containers"][0];
        for probe in ["readinessProbe", "livenessProbe", "startupProbe"] {
            ensure!(container[probe].is_null(), "{probe}: {container}");
        }
        ensure!(container["resources"]["limits"] == json!({"memory": "128Mi"}), "{container}");
        ensure!(container["resources"]["requests"] == json!({"memory": "128Mi", "cpu": "72m"}), "{container}");
        ensure!(container["lifecycle"]["preStop"]["sleep"]["seconds"] == 2, "{container}");
        ensure!(spec["terminationGracePeriodSeconds"] == 32, "{spec}");
        let security = &container["securityContext"];
        ensure!(
            security["allowPrivilegeEscalation"] == false && security["capabilities"]["drop"] == json!(["ALL"]),
            "{security}"
        );
        ensure!(container["imagePullPolicy"] == "IfNotPresent", "{container}");
        Ok(())
    });
}
