//! Snapshots. A changed pod template needs another [`TEMPLATE_EPOCH`]: without it, running functions would be restarted by
//! an upgrade of the operator.

use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::{args::Args, testing::fixtures::valid};

fn planned(spec: Value) -> Plan {
    function(&valid(spec), &Settings::new(&Args::try_parse_from(["operator"]).unwrap()))
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
