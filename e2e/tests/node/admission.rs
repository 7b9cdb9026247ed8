//! The chart's admission policies, asked as the programs themselves: with their tokens, and dry, so that nothing changes.

use ::kube::{
    Api, Client, Error,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use anyhow::{Result, ensure};
use e2e::{
    install, kube,
    scene::{Scene, scene},
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Event, Pod, Service, ServiceAccount},
};
use serde_json::{Value, json};

/// What the API server should say: yes, or a code and words.
type Verdict = Option<(u16, &'static str)>;

const YES: Verdict = None;
const FOREIGN: Verdict =
    Some((403, "Rouse may scale only its own Deployments: the selector of foreign has no label rouse.dev/function"));
const CEILING: Verdict = Some((403, "1001 replicas are above the ceiling of 1000"));
const ANNOTATIONS: Verdict = Some((403, "Rouse may change only annotations of a pod"));
/// By RBAC, before any policy: what goes with its Function is deleted by Kubernetes, not by the operator.
const NO_RIGHT: Verdict = Some((403, "cannot delete resource"));
const CHILDREN: Verdict = Some((403, "Rouse may write only objects of its Functions"));

struct Programs {
    activator: Client,
    operator: Client,
}

impl Programs {
    async fn of(scene: &Scene) -> Result<Self> {
        let client = async |name: &str| kube::client_as(&scene.cluster, install::NAMESPACE, name).await;
        Ok(Self { activator: client("rouse-activator").await?, operator: client("rouse-operator").await? })
    }
}

fn dry() -> PatchParams {
    PatchParams { dry_run: true, ..PatchParams::default() }
}

/// Notes how an answer differs from what it should be.
fn judge<T>(wrong: &mut Vec<String>, what: &str, answer: Result<T, Error>, wanted: Verdict) {
    let said = match &answer {
        Ok(_) => "yes".to_owned(),
        Err(Error::Api(refusal)) => format!("{} {}", refusal.code, refusal.message),
        Err(other) => format!("{other}"),
    };
    let right = match (&answer, wanted) {
        (Ok(_), None) => true,
        (Err(Error::Api(refusal)), Some((code, words))) => refusal.code == code && refusal.message.contains(words),
        _ => false,
    };
    if !right {
        wrong.push(format!("{what}: should be {wanted:?}, is {said}"));
    }
}

/// A Deployment that no node will take.
fn deployment(name: &str, label: &str, replicas: i32) -> Value {
    let labels = json!({label: name});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec()}}})
}

fn pod_spec() -> Value {
    json!({
        "nodeSelector": {"no-such-node": "x"},
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "image": "rouse.local/none:1", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]})
}

#[test]
fn replicas_are_confined() {
    scene("scale-policy", async |scene| {
        for (name, label, replicas) in [
            ("zero", "rouse.dev/function", 0),
            ("three", "rouse.dev/function", 3),
            ("foreign", "app", 0),
            // Begins alike, and is another label.
            ("sly", "rouse.dev/function-uid", 0),
        ] {
            scene.create(deployment(name, label, replicas)).await?;
        }
        let programs = Programs::of(&scene).await?;
        let lower = |to| Some((422, if to == 2 { "lower them from 3 to 2" } else { "lower them from 3 to 0" }));
        let mut wrong = Vec::new();
        for (program, client, name, replicas, wanted) in [
            ("activator", &programs.activator, "zero", 1, YES),
            ("activator", &programs.activator, "zero", 1000, YES),
            ("activator", &programs.activator, "zero", 0, YES),
            ("activator", &programs.activator, "three", 3, YES),
            ("activator", &programs.activator, "three", 2, lower(2)),
            ("activator", &programs.activator, "three", 0, lower(0)),
            ("activator", &programs.activator, "zero", 1001, CEILING),
            ("activator", &programs.activator, "foreign", 1, FOREIGN),
            ("activator", &programs.activator, "sly", 1, Some((403, "the selector of sly has no label"))),
            ("operator", &programs.operator, "three", 2, YES),
            ("operator", &programs.operator, "three", 0, YES),
            ("operator", &programs.operator, "zero", 1001, CEILING),
            ("operator", &programs.operator, "foreign", 1, FOREIGN),
        ] {
            let api: Api<Deployment> = Api::namespaced(client.clone(), &scene.namespace);
            let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
            let answer = api.patch_scale(name, &dry(), &patch).await;
            judge(&mut wrong, &format!("{program}: {name} to {replicas}"), answer, wanted);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn the_operator_may_only_annotate_pods_of_functions() {
    scene("pods-policy", async |scene| {
        for (name, label) in [("ours", "rouse.dev/function"), ("foreign", "app")] {
            let metadata = json!({"name": name, "labels": {label: name}});
            scene.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec()})).await?;
        }
        let pods: Api<Pod> = Api::namespaced(Programs::of(&scene).await?.operator, &scene.namespace);
        let cost = json!({"metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}}});
        let mut wrong = Vec::new();
        for (name, patch, wanted) in [
            ("ours", cost.clone(), YES),
            (
                "foreign",
                cost,
                Some((403, "Rouse may change only its own pods: foreign has no label rouse.dev/function")),
            ),
            ("ours", json!({"metadata": {"labels": {"rouse.dev/function": "other"}}}), ANNOTATIONS),
            ("ours", json!({"metadata": {"labels": {"rouse.dev/function": null}}}), ANNOTATIONS),
            (
                "foreign",
                json!({"metadata": {"labels": {"rouse.dev/function": "mine"}}}),
                Some((403, "only its own pods")),
            ),
            ("ours", json!({"metadata": {"finalizers": ["example.com/stay"]}}), ANNOTATIONS),
            ("ours", json!({"spec": {"activeDeadlineSeconds": 1}}), ANNOTATIONS),
            ("ours", json!({"spec": {"containers": [{"name": "c", "image": "rouse.local/other:1"}]}}), ANNOTATIONS),
        ] {
            let answer = pods.patch(name, &dry(), &Patch::Strategic(&patch)).await;
            judge(&mut wrong, &format!("{name}: {patch}"), answer, wanted);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn the_operator_may_only_lower_cpu_limits_of_functions() {
    scene("resize-policy", async |scene| {
        let amounts = |cpu: &str, memory: &str| json!({"cpu": cpu, "memory": memory});
        for (name, label) in [("ours", "rouse.dev/function"), ("foreign", "app")] {
            let mut spec = pod_spec();
            let mut side = spec["containers"][0].clone();
            spec["containers"][0]["name"] = json!("function");
            spec["containers"][0]["resources"] =
                json!({"limits": amounts("1", "64Mi"), "requests": amounts("50m", "64Mi")});
            side["resources"] = json!({"limits": amounts("1", "64Mi"), "requests": amounts("50m", "64Mi")});
            spec["containers"] = json!([spec["containers"][0], side]);
            let metadata = json!({"name": name, "labels": {label: name}});
            scene.create(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})).await?;
        }
        let pods: Api<Pod> = Api::namespaced(Programs::of(&scene).await?.operator, &scene.namespace);
        let function =
            |resources: Value| json!({"spec": {"containers": [{"name": "function", "resources": resources}]}});
        let only = Some((403, "Rouse may change only the CPU limit of a function's container"));
        let mut wrong = Vec::new();
        for (name, patch, wanted) in [
            ("ours", function(json!({"limits": {"cpu": "100m"}})), YES),
            ("ours", function(json!({"limits": {"cpu": "1000m"}})), YES),
            (
                "ours",
                function(json!({"limits": {"cpu": "1001m"}})),
                Some((403, "Rouse may lower the CPU limit of a function's container, not raise it")),
            ),
            ("ours", function(json!({"limits": {"memory": "128Mi"}})), only),
            ("ours", function(json!({"requests": {"cpu": "20m"}})), only),
            (
                "ours",
                json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "100m"}}}]}}),
                Some((403, "Rouse may resize only the container of a function")),
            ),
            (
                "ours",
                json!({"spec": {"containers": [{"name": "function", "resizePolicy":
                    [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}]}}),
                // Kubernetes' own word, before any policy is asked.
                Some((422, "only cpu and memory resources are mutable")),
            ),
            (
                "foreign",
                function(json!({"limits": {"cpu": "100m"}})),
                Some((403, "Rouse may resize only its own pods: foreign has no label rouse.dev/function")),
            ),
        ] {
            let answer = pods.patch_resize(name, &dry(), &Patch::Strategic(&patch)).await;
            judge(&mut wrong, &format!("{name}: {patch}"), answer, wanted);
        }
        // By its whole spec it has no right to change a limit at all.
        let patch = function(json!({"limits": {"cpu": "100m"}}));
        let answer = pods.patch("ours", &dry(), &Patch::Strategic(&patch)).await;
        let unchanged =
            answer.as_ref().is_ok_and(|pod| json!(pod.spec)["containers"][0]["resources"]["limits"]["cpu"] == "1");
        ensure!(answer.is_err() || unchanged, "a limit was changed without resizing");
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn the_operator_may_only_write_objects_of_functions() {
    scene("child-policy", async |scene| {
        let service = |name: &str, metadata: Value| {
            let mut whole = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
                "spec": {"type": "ExternalName", "externalName": "example.com"}});
            json_patch::merge(&mut whole["metadata"], &metadata);
            whole
        };
        let label = json!({"labels": {"rouse.dev/function": "f"}});
        let owner = json!({"ownerReferences": [
            {"apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "name": "f", "uid": "00000000-0000-0000-0000-000000000000"}]});
        for manifest in [
            service("ours", label.clone()),
            service("foreign", json!({})),
            deployment("zero", "rouse.dev/function", 0),
            deployment("other", "app", 0),
        ] {
            scene.create(manifest).await?;
        }
        let client = Programs::of(&scene).await?.operator;
        let services: Api<Service> = Api::namespaced(client.clone(), &scene.namespace);
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &scene.namespace);
        let accounts: Api<ServiceAccount> = Api::namespaced(client, &scene.namespace);
        let create = PostParams { dry_run: true, ..PostParams::default() };
        let delete = DeleteParams { dry_run: true, ..DeleteParams::default() };
        let mut wrong = Vec::new();
        let w = &mut wrong;

        for (what, metadata, wanted) in [
            ("with the label", label.clone(), YES),
            ("with an owner", owner, YES),
            ("with neither", json!({}), CHILDREN),
        ] {
            let answer = services.create(&create, &serde_json::from_value(service("new", metadata))?).await;
            judge(w, &format!("create a Service {what}"), answer, wanted);
        }
        for (name, wanted) in [("ours", YES), ("foreign", CHILDREN)] {
            let patch = Patch::Merge(json!({"metadata": label}));
            judge(w, &format!("label Service {name}"), services.patch(name, &dry(), &patch).await, wanted);
            judge(w, &format!("delete Service {name}"), services.delete(name, &delete).await, NO_RIGHT);
        }
        judge(w, "delete a ServiceAccount", accounts.delete("default", &delete).await, NO_RIGHT);
        let image =
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "rouse.local/new:1"}]}}}});
        let replicas = json!({"spec": {"replicas": 1}});
        for (name, patch, wanted) in [
            ("zero", &image, YES),
            ("other", &image, CHILDREN),
            ("zero", &replicas, Some((403, "Rouse may change the replicas of a Deployment by its scale only"))),
        ] {
            let answer = deployments.patch(name, &dry(), &Patch::Strategic(patch)).await;
            judge(w, &format!("{name}: {patch}"), answer, wanted);
        }
        judge(w, "delete a Deployment", deployments.delete("other", &delete).await, CHILDREN);
        for (planned, wanted) in [(1000, YES), (1001, Some((403, "The replicas are above the ceiling of 1000")))] {
            let planned_out = serde_json::from_value(deployment("new", "rouse.dev/function", planned))?;
            judge(w, &format!("create at {planned}"), deployments.create(&create, &planned_out).await, wanted);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}

#[test]
fn the_operator_may_only_write_events_of_its_own() {
    scene("event-policy", async |scene| {
        let event = |name: &str, component: &str, api_version: &str| {
            let about =
                json!({"apiVersion": api_version, "kind": "Function", "name": "f", "namespace": scene.namespace});
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": scene.namespace},
                "type": "Normal", "reason": "Test", "message": "The first.", "involvedObject": about, "count": 1,
                "reportingComponent": component, "reportingInstance": "operator-0", "source": {"component": component}})
        };
        let (ours, api) = ("rouse-operator", "rouse.dev/v1alpha1");
        for (name, component) in [("ours", ours), ("foreign", "kubelet")] {
            scene.create(event(name, component, api)).await?;
        }
        let events: Api<Event> = Api::namespaced(Programs::of(&scene).await?.operator, &scene.namespace);
        let create = PostParams { dry_run: true, ..PostParams::default() };
        let not_its_own = |name| match name {
            "new" => Some((403, "Rouse may write only its own Events: new is not reported by rouse-operator")),
            _ => Some((403, "Rouse may write only its own Events: foreign is not reported by rouse-operator")),
        };
        let mut wrong = Vec::new();
        for (component, api_version, wanted) in [
            (ours, api, YES),
            ("kubelet", api, not_its_own("new")),
            (ours, "v1", Some((403, "Rouse may write only Events about Functions and Triggers"))),
        ] {
            let new = serde_json::from_value(event("new", component, api_version))?;
            let answer = events.create(&create, &new).await;
            judge(&mut wrong, &format!("create one by {component} about {api_version}"), answer, wanted);
        }
        let text = json!({"message": "The last.", "count": 2});
        let mine = json!({"message": "The last.", "reportingComponent": ours});
        for (name, patch, wanted) in [
            ("ours", &text, YES),
            ("foreign", &text, not_its_own("foreign")),
            ("foreign", &mine, not_its_own("foreign")),
        ] {
            let answer = events.patch(name, &dry(), &Patch::Merge(patch)).await;
            if let Ok(event) = &answer {
                ensure!(event.message.as_deref() == Some("The last."), "the message of {name} was not changed");
            }
            judge(&mut wrong, &format!("{name}: {patch}"), answer, wanted);
        }
        ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        Ok(())
    });
}
