//! Snapshots. A changed pod template needs another [`TEMPLATE_EPOCH`]: without it, running functions would be restarted by
//! an upgrade of the operator.

use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::{
    args::Args,
    testing::fixtures::{source, valid},
};

fn planned(spec: Value) -> Plan {
    with_boost(spec, None)
}

fn with_boost(spec: Value, boost: Option<Boost>) -> Plan {
    function(&valid(spec), &Settings::new(&Args::try_parse_from(["operator"]).unwrap()), boost)
}

fn template(spec: Value) -> Value {
    serde_json::to_value(planned(spec).deployment.spec.unwrap().template).unwrap()
}

#[test]
fn the_children_of_a_minimal_function() {
    let plan = planned(json!({}));
    insta::assert_json_snapshot!("service", plan.service);
    insta::assert_json_snapshot!("service_account", plan.service_account);
    insta::assert_json_snapshot!("deployment", plan.deployment);
    assert_eq!(plan.deployment.spec.unwrap().replicas, None);
}

#[test]
fn the_children_of_a_function_with_source() {
    let plan = planned(source("def handler(request):\r\n    return '\u{feff}../😀'\n"));
    insta::assert_json_snapshot!("source", code("def handler(request):\r\n    return '\u{feff}../😀'\n"));
    insta::assert_json_snapshot!("source_deployment", plan.deployment);
    assert_eq!(config_map(&valid(json!({}))), None);
}

#[test]
fn a_text_that_no_variable_can_hold_goes_encoded() {
    assert_eq!(code("a\0b").data.unwrap()["source"], "YQBi");
    let env = |source_text: &str| template(source(source_text))["spec"]["containers"][0]["env"].to_string();
    assert!(env("a\0b").contains(r#"{"name":"ROUSE_SOURCE_ENCODING","value":"base64"}"#));
    assert!(!env("ab").contains("ENCODING"));
    let named = json!({"image": null, "source": {"runtime": "node", "inline": "a", "entrypoint": "$$.run"}});
    let told = template(named)["spec"]["containers"][0]["env"].to_string();
    assert!(told.contains(r#"{"name":"FUNCTION_TARGET","value":"$$$$.run"}"#), "as Kubernetes reads it: {told}");
}

fn code(text: &str) -> k8s_openapi::api::core::v1::ConfigMap {
    config_map(&valid(source(text))).unwrap()
}

/// The runtime's share of what a pod has: what the function asks for itself comes first.
#[test]
fn a_runtime_gives_what_a_function_does_not_ask_for() {
    let node = |more: Value| {
        let mut spec = json!({"image": null, "source": {"runtime": "node", "inline": "a"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let container = template(spec)["spec"]["containers"][0].clone();
        let options: Vec<Value> =
            container["env"].as_array().unwrap().iter().filter(|e| e["name"] == "OPTIONS").cloned().collect();
        (container["resources"]["requests"].clone(), options)
    };
    let given = json!({"name": "OPTIONS", "value": "--heap=$(ROUSE_HEAP_MIB)"});
    assert_eq!(node(json!({})), (json!({"memory": "256Mi", "cpu": "50m"}), vec![given.clone()]));
    let asks = json!({"resources": {"memory": "64Mi"}});
    assert_eq!(node(asks), (json!({"memory": "64Mi", "cpu": "50m"}), vec![given]));
    let own = json!({"name": "OPTIONS", "value": "mine"});
    let asks = json!({"resources": {"cpu": "1"}, "env": [own]});
    assert_eq!(node(asks), (json!({"memory": "256Mi", "cpu": "1"}), vec![own]));
}

#[test]
fn another_image_of_the_runtime_is_another_epoch() {
    let epoch = |plan: Plan| plan.deployment.metadata.annotations.unwrap()[labels::TEMPLATE_EPOCH].clone();
    assert_eq!(epoch(planned(source("a"))), "1+image=registry.example/python:1");
    let mut boosted = source("a");
    boosted["resources"] = json!({"cpu": "100m", "cpuLimit": "200m"});
    let boosted = with_boost(boosted, Some(Boost { factor: 4, least_milli: 1000 }));
    assert_eq!(epoch(boosted), "1+image=registry.example/python:1+cpu=1000m");
}

#[test]
fn a_pod_with_every_option() {
    insta::assert_json_snapshot!(
        "everything",
        template(json!({
            "imagePullPolicy": "Always",
            "command": ["/bin/serve"],
            "args": ["--fast"],
            "env": [{"name": "MODE", "value": "on $(PORT)"}, {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            "envFrom": [{"configMapRef": {"name": "settings"}}],
            "port": 9000,
            "resources": {"memory": "256Mi", "cpu": "250m", "cpuLimit": 1},
            "timeouts": {"requestSeconds": 60},
            "serviceAccountName": "reader",
            "pod": {
                "nodeSelector": {"disk": "fast"},
                "tolerations": [{"key": "spot", "operator": "Exists"}],
                "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}],
                "runtimeClassName": "gvisor",
                "priorityClassName": "high",
                "imagePullSecrets": [{"name": "registry"}],
                "runAsUser": 1000,
                "readOnlyRootFilesystem": true,
                "terminationGracePeriodSeconds": 90,
                "labels": {"team": "a"},
                "annotations": {"note": "b"}
            }
        }))
    );
}

#[test]
fn a_pod_with_volumes() {
    insta::assert_json_snapshot!(
        "volumes",
        template(json!({"mounts": [
            {"path": "/config", "configMap": {"name": "settings"}, "readOnly": true},
            {"path": "/secret", "secret": {"name": "s"}},
            {"path": "/tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            {"path": "/data", "persistentVolumeClaim": {"name": "data"}}
        ]}))
    );
}

/// Whatever the boost, it is the same revision; and a boost that changes is another epoch, for which no running pod is
/// restarted.
#[test]
fn a_boosted_start_has_a_higher_limit_and_says_its_own() {
    let limited = json!({"resources": {"cpu": "50m", "cpuLimit": "100m"}});
    let boosts = [None, Some(Boost { factor: 4, least_milli: 1000 }), Some(Boost { factor: 4, least_milli: 0 })];
    let plans = boosts.map(|boost| serde_json::to_value(with_boost(limited.clone(), boost).deployment).unwrap());
    for (plan, limit, own, epoch) in [
        (&plans[0], "100m", json!(null), "1"),
        (&plans[1], "1000m", json!("100m"), "1+cpu=1000m"),
        (&plans[2], "400m", json!("100m"), "1+cpu=400m"),
    ] {
        let template = &plan["spec"]["template"];
        let resources = &template["spec"]["containers"][0]["resources"];
        assert_eq!((&resources["limits"]["cpu"], &resources["requests"]["cpu"]), (&json!(limit), &json!("50m")));
        assert_eq!(template["metadata"]["annotations"][labels::CPU_LIMIT], own);
        assert_eq!(plan["metadata"]["annotations"][labels::TEMPLATE_EPOCH], epoch);
        assert_eq!(plan["metadata"]["name"], plans[0]["metadata"]["name"]);
        assert_eq!(plan["spec"]["selector"], plans[0]["spec"]["selector"]);
    }
}

#[test]
fn a_function_without_a_cpu_limit_has_no_boost() {
    let boost = Some(Boost { factor: 4, least_milli: 1000 });
    assert_eq!(with_boost(json!({}), boost), planned(json!({})));
    let ample = json!({"resources": {"cpuLimit": "2"}});
    assert_eq!(with_boost(ample.clone(), Some(Boost { factor: 1, least_milli: 1000 })), planned(ample));
}

#[test]
fn a_named_service_account_is_not_made() {
    assert_eq!(planned(json!({"serviceAccountName": "reader"})).service_account, None);
}

#[test]
fn a_users_labels_do_not_replace_ours() {
    let pod = template(json!({"pod": {"labels": {"app.kubernetes.io/managed-by": "me", "team": "a"}}}));
    let labels = &pod["metadata"]["labels"];
    assert_eq!((&labels["app.kubernetes.io/managed-by"], &labels["team"]), (&json!("rouse"), &json!("a")));
}

/// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
#[test]
fn every_pod_passes_the_restricted_level() {
    for spec in [json!({}), json!({"pod": {"runAsUser": 5}, "mounts": [{"path": "/tmp", "emptyDir": {}}]})] {
        let pod = template(spec)["spec"].clone();
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert!(pod["securityContext"]["runAsUser"].as_i64().unwrap() > 0);
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
        for key in ["hostNetwork", "hostPID", "hostIPC", "initContainers"] {
            assert!(pod[key].is_null(), "{key}");
        }
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
        assert_eq!(container["securityContext"]["capabilities"], json!({"drop": ["ALL"]}));
        assert!(container["securityContext"]["privileged"].is_null() && container["ports"][0]["hostPort"].is_null());
    }
}
