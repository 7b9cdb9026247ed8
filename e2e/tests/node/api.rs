//! The API as its users meet it: what the API server takes, what it refuses and in which words, and what kubectl shows.

use std::process::Output;

use anyhow::{Context, Result, ensure};
use crds::{rules, schema};
use e2e::{
    kube,
    scene::{Scene, scene},
};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::wrong;

/// What the API server says to a new object.
struct Verdict {
    taken: bool,
    /// The object it would store, or the refusal's words.
    said: Value,
    warnings: Vec<String>,
}

/// Offers an object as `kubectl create --dry-run=server` does: nothing is stored, and unknown fields are refused.
async fn offer(scene: &Scene, manifest: &Value) -> Result<Verdict> {
    let plural = if manifest["kind"] == "Trigger" { "triggers" } else { "functions" };
    let path = format!("/apis/rouse.dev/v1alpha1/namespaces/{}/{plural}", scene.namespace);
    let request = http::Request::post(format!("{path}?dryRun=All&fieldValidation=Strict"))
        .header(CONTENT_TYPE, "application/json")
        .body(manifest.to_string().into_bytes().into())?;
    let (head, body) = scene.client.send(request).await?.into_parts();
    let warnings = head.headers.get_all("warning").iter();
    let warnings = warnings.map(|w| String::from_utf8_lossy(w.as_bytes()).into_owned()).collect();
    let said: Value = serde_json::from_slice(&body.collect().await?.to_bytes())?;
    let said = if head.status.is_success() { said } else { said["message"].clone() };
    Ok(Verdict { taken: head.status.is_success(), said, warnings })
}

fn manifest(base: &str, patch: &str) -> Result<Value> {
    let mut manifest = serde_json::from_str(base)?;
    json_patch::merge(&mut manifest, &serde_json::from_str(patch).with_context(|| format!("no JSON: {patch}"))?);
    Ok(manifest)
}

#[test]
fn each_rule_takes_what_it_should_and_refuses_the_rest() {
    scene("rules", async |scene| {
        let mut wrong = Vec::new();
        for (base, table) in [(rules::FUNCTION_BASE, rules::FUNCTION), (rules::TRIGGER_BASE, rules::TRIGGER)] {
            for rule in table {
                let right = offer(&scene, &manifest(base, rule.accepts)?).await?;
                if !right.taken || !right.warnings.is_empty() {
                    wrong.push(format!("{} is not just taken: {} {:?}", rule.accepts, right.said, right.warnings));
                }
                let refused = offer(&scene, &manifest(base, rule.refuses)?).await?;
                // Where a rule stands is part of the message: a user must find the field.
                let field = rule.path.replace("[]", "[0]");
                let said = refused.said.as_str().unwrap_or_default();
                if refused.taken || !said.contains(rule.message) || !said.contains(&field) {
                    wrong
                        .push(format!("{} should be refused: {:?}, but: {}", rule.refuses, rule.message, refused.said));
                }
            }
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn wrong_manifests_are_refused_in_words_that_help() {
    scene("wrong", async |scene| {
        let tables = [(rules::FUNCTION_BASE, wrong::FUNCTIONS), (rules::TRIGGER_BASE, wrong::TRIGGERS)];
        ensure!(wrong::FUNCTIONS.len() + wrong::TRIGGERS.len() >= 25);
        let mut failures = Vec::new();
        for (base, table) in tables {
            for (patch, words) in table {
                let verdict = offer(&scene, &manifest(base, patch)?).await?;
                let said = verdict.said.as_str().unwrap_or_default();
                for missing in words.iter().filter(|word| verdict.taken || !said.contains(**word)) {
                    failures.push(format!("{patch}\n  should be refused with {missing:?}, but: {}", verdict.said));
                }
            }
        }
        ensure!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    });
}

#[test]
fn a_refusal_reaches_the_terminal() {
    scene("terminal", async |scene| {
        let wrong = json!({"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "metadata": {"name": "wrong"},
            "spec": {"image": "a", "imge": "b", "scaling": {"minReplicas": 3, "maxReplicas": 2}}});
        let strict = scene.kubectl(&["apply", "-f", "-"], &wrong.to_string()).err().context("it was taken")?;
        ensure!(strict.to_string().contains(r#"unknown field "spec.imge""#), "{strict}");
        let unchecked = ["apply", "--validate=false", "-f", "-"];
        let refused = scene.kubectl(&unchecked, &wrong.to_string()).err().context("it was taken")?;
        ensure!(refused.to_string().contains("minReplicas must be less than or equal to maxReplicas"), "{refused}");
        Ok(())
    });
}

#[test]
fn every_level_is_explained() {
    scene("explain", async |scene| {
        for (plural, crd) in [("functions", schema::function()), ("triggers", schema::trigger())] {
            let crd = crd.map_err(anyhow::Error::msg)?;
            let mut levels = Vec::new();
            objects(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"], plural, &mut levels);
            ensure!(levels.len() >= 4, "only {} levels of {plural}", levels.len());
            for (path, node) in levels {
                let page = scene.kubectl(&["explain", "--api-version=rouse.dev/v1alpha1", &path], "")?;
                let page: String = page.split_whitespace().collect::<Vec<_>>().join(" ");
                for (name, field) in node["properties"].as_object().into_iter().flatten() {
                    let standard = ["apiVersion", "kind", "metadata"].contains(&name.as_str());
                    let said = field["description"].as_str().unwrap_or_default();
                    ensure!(
                        page.contains(&format!("{name} <")),
                        "kubectl explain {path} does not list {name}:\n{page}"
                    );
                    ensure!(
                        standard || (!said.is_empty() && page.contains(said)),
                        "kubectl explain {path} does not say what {name} is:\n{page}"
                    );
                }
            }
            let tree = scene.kubectl(&["explain", "--recursive", plural], "")?;
            ensure!(tree.contains("observedGeneration"), "{tree}");
        }
        Ok(())
    });
}

/// Every object of a schema with its path, but not the insides of Kubernetes' own types.
fn objects<'a>(node: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    found.push((path.to_owned(), node));
    for (name, child) in node["properties"].as_object().into_iter().flatten() {
        let inner = if child["items"].is_object() { &child["items"] } else { child };
        let foreign = inner["description"].as_str().is_some_and(|text| text.contains("Kubernetes'"));
        if inner["properties"].is_object() && !foreign {
            objects(inner, &format!("{path}.{name}"), found);
        }
    }
}

/// kubectl, whose exit must be 0 and whose standard error must be silent: no warning, no note.
fn quiet(scene: &Scene, arguments: &[&str], input: &str) -> Result<String> {
    let all = [&["--namespace", scene.namespace.as_str()], arguments].concat();
    let output: Output = kube::kubectl(&scene.cluster, &all, input)?;
    let noise = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success() && noise.is_empty(), "kubectl {arguments:?}: {}: {noise}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}

/// Every field of both kinds that has an effect without anything else in the cluster.
const FULL: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hello}
---
apiVersion: rouse.dev/v1alpha1
kind: Function
metadata: {name: full}
spec:
  image: rouse.local/testapp:1
  imagePullPolicy: Never
  args: []
  env:
    - {name: GREETING, valueFrom: {configMapKeyRef: {name: settings, key: greeting}}}
    - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
    - {name: EMPTY, value: ''}
  envFrom: [{prefix: S_, configMapRef: {name: settings}}]
  mounts: [{path: /tmp, emptyDir: {sizeLimit: 1Mi}}, {path: /settings, readOnly: true, configMap: {name: settings}}]
  port: 8081
  protocol: HTTP1
  resources: {memory: 64Mi, cpu: '0.05', cpuLimit: 1}
  scaling: {mode: Auto, minReplicas: 0, maxReplicas: 3, target: 5, targetUtilizationPercent: 80, windowSeconds: 30,
    idle: Adaptive, schedules: [{cron: '0 0 29 2 *', durationSeconds: 60, minReplicas: 1}]}
  timeouts: {requestSeconds: 20, coldStartSeconds: 120}
  queue: {maxRequests: 10}
  readiness: {path: /}
  pod:
    nodeSelector: {kubernetes.io/os: linux}
    tolerations: [{key: a, operator: Exists, effect: NoSchedule}]
    affinity:
      nodeAffinity:
        preferredDuringSchedulingIgnoredDuringExecution:
          - weight: 1
            preference: {matchExpressions: [{key: kubernetes.io/os, operator: In, values: [linux]}]}
    topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway, labelSelector: {matchLabels: {team: a}}}
    runAsUser: 1000
    readOnlyRootFilesystem: true
    terminationGracePeriodSeconds: 23
    labels: {team: a}
    annotations: {team: a b}
---
apiVersion: rouse.dev/v1alpha1
kind: Trigger
metadata: {name: full}
spec:
  functionRef: {name: full}
  http:
    hosts: [full.HOST]
    path: {type: Exact, value: /full}
    methods: [GET, POST]
";

#[test]
fn applying_again_changes_nothing() {
    scene("apply", async |scene| {
        let manifest = FULL.replace("HOST", &format!("{}.example.com", scene.namespace));
        let ours = |output: &str| output.lines().filter(|line| line.contains("rouse.dev")).map(str::to_owned).collect();
        let created: Vec<String> = ours(&quiet(&scene, &["apply", "-f", "-"], &manifest)?);
        ensure!(created == ["function.rouse.dev/full created", "trigger.rouse.dev/full created"], "{created:?}");
        let wait = ["wait", "--for=condition=Ready", "--timeout=90s", "function/full", "trigger/full"];
        quiet(&scene, &wait, "")?;
        let generation = ["get", "rfn/full", "rtr/full", "-o", "jsonpath={.items[*].metadata.generation}"];
        // `diff` exits with 1 when there is any.
        ensure!(quiet(&scene, &["diff", "-f", "-"], &manifest)?.is_empty());
        let again: Vec<String> = ours(&quiet(&scene, &["apply", "-f", "-"], &manifest)?);
        ensure!(again == ["function.rouse.dev/full unchanged", "trigger.rouse.dev/full unchanged"], "{again:?}");
        for _ in 0..2 {
            let applied: Vec<String> = ours(&quiet(&scene, &["apply", "--server-side", "-f", "-"], &manifest)?);
            let expected = ["function.rouse.dev/full serverside-applied", "trigger.rouse.dev/full serverside-applied"];
            ensure!(applied == expected, "{applied:?}");
        }
        ensure!(quiet(&scene, &["diff", "--server-side", "-f", "-"], &manifest)?.is_empty());
        ensure!(quiet(&scene, &generation, "")? == "1 1", "{}", quiet(&scene, &generation, "")?);
        let host = format!("full.{}.example.com", scene.namespace);
        // The testapp has no such path: its own 404, from a pod that ran with every setting above.
        let answer = scene.get_mounted(&host, "/full").await?;
        ensure!(answer.text() == "no such path\n", "{} {}", answer.status, answer.text());
        for (name, value) in [("GREETING", "hello"), ("S_greeting", "hello"), ("EMPTY", ""), ("PORT", "8081")] {
            let answer = scene.get("full", &format!("/env?name={name}")).await?;
            ensure!(answer.status == 200 && answer.text() == value, "{name}: {} {:?}", answer.status, answer.text());
        }
        Ok(())
    });
}

#[test]
fn columns_are_the_designed_ones() {
    scene("columns", async |scene| {
        let function = scene.function("hello", json!({"scaling": {"minReplicas": 0, "maxReplicas": 7}})).await?;
        let status = function.status.unwrap_or_default();
        let row = |table: String| -> Vec<Vec<String>> {
            table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
        };
        let narrow = row(quiet(&scene, &["get", "rfn"], "")?);
        ensure!(narrow[0] == ["NAME", "READY", "ACTIVE", "REPLICAS", "URL", "AGE"], "{narrow:?}");
        let url = format!("http://hello.{}.localhost", scene.namespace);
        ensure!(status.url.starts_with(&url), "{}", status.url);
        ensure!(narrow[1][..5] == ["hello", "True", "False", "0", status.url.as_str()], "{narrow:?}");
        let wide = row(quiet(&scene, &["get", "functions", "-o", "wide"], "")?);
        let names = [
            "NAME", "READY", "ACTIVE", "REPLICAS", "URL", "AGE", "IMAGE", "RUNTIME", "MIN", "MAX", "REVISION", "REASON",
        ];
        ensure!(wide[0] == names, "{wide:?}");
        let more = ["rouse.local/testapp:1", "0", "7", status.revision.as_str()];
        ensure!(wide[1][6..10] == more && wide[1].len() == 11, "{wide:?}");
        let all = quiet(&scene, &["get", "rouse"], "")?;
        ensure!(all.contains("function.rouse.dev/hello") || all.contains("hello"), "{all}");
        Ok(())
    });
}

#[test]
fn an_object_that_nobody_has_looked_at_is_in_progress() {
    scene("untouched", async |scene| {
        for (base, kind) in [(rules::FUNCTION_BASE, "Function"), (rules::TRIGGER_BASE, "Trigger")] {
            let verdict = offer(&scene, &serde_json::from_str(base)?).await?;
            ensure!(verdict.taken && verdict.warnings.is_empty(), "{kind}: {} {:?}", verdict.said, verdict.warnings);
            ensure!(verdict.said["status"]["observedGeneration"] == -1, "{kind}: {}", verdict.said);
        }
        Ok(())
    });
}
