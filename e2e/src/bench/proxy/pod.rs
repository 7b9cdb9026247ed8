//! A rival as a pod like the activator's own: the same network path, cgroup, limits, user, system call filter and read-only
//! root, so that nothing but the program differs. The program is the machine's own, seen through `hostPath`.

use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use serde_json::{Value, json};

use super::rival::{BUILT, CONFIGURATION, Rival};
use crate::images;

/// Folders of the machine that a Debian program and its libraries are in.
const SYSTEM: [&str; 3] = ["/usr", "/lib", "/lib64"];

/// The pod, shaped after one of the activator's. `go` is the folder of the Go proxy.
pub(super) fn pod(rival: &Rival, activator: &Pod, go: &Path) -> Result<Pod> {
    let spec = activator.spec.as_ref().context("an activator without a spec")?;
    let container = spec.containers.first().context("an activator without a container")?;
    let mut volumes = vec![json!({"name": "tmp", "emptyDir": {}})];
    let mut mounts = vec![json!({"name": "tmp", "mountPath": "/tmp"})];
    let folders = SYSTEM.iter().map(|folder| (*folder, Path::new(folder))).chain([(BUILT, go)]);
    for (place, (inside, outside)) in folders.enumerate() {
        let name = format!("folder-{place}");
        volumes.push(json!({"name": name, "hostPath": {"path": outside}}));
        mounts.push(json!({"name": name, "mountPath": inside, "readOnly": true}));
    }
    if rival.file.is_some() {
        volumes.push(json!({"name": "configuration", "configMap": {"name": rival.proxy.name()}}));
        mounts.push(json!({"name": "configuration", "mountPath": CONFIGURATION, "readOnly": true}));
    }
    Ok(serde_json::from_value(json!({
        "metadata": {"name": rival.proxy.name()},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": spec.security_context,
            "containers": [{
                "name": rival.proxy.name(),
                // Any image of the node's: nothing of it is run.
                "image": images::TESTAPP,
                "command": rival.command,
                "securityContext": container.security_context,
                "resources": container.resources,
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    }))?)
}

/// Its configuration, if it has one.
pub(super) fn configuration(rival: &Rival) -> Result<Option<ConfigMap>> {
    let Some((name, text)) = &rival.file else { return Ok(None) };
    let map: Value = json!({"metadata": {"name": rival.proxy.name()}, "data": {*name: text}});
    Ok(Some(serde_json::from_value(map)?))
}

#[cfg(test)]
mod tests {
    use super::super::rival::Proxy;
    use super::*;

    #[test]
    fn what_bears_on_speed_is_the_activators() {
        let resources = json!({"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}});
        let (outer, inner) = (
            json!({"runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}),
            json!({"readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}}),
        );
        let activator = serde_json::from_value(json!({"spec": {"securityContext": outer, "containers": [
            {"name": "activator", "resources": resources, "securityContext": inner}]}}))
        .unwrap();
        let rival = Rival {
            proxy: Proxy::Nginx,
            command: vec!["/usr/sbin/nginx".to_owned()],
            file: Some(("nginx.conf", "events {}".to_owned())),
        };
        let pod = serde_json::to_value(pod(&rival, &activator, Path::new("/cache/go")).unwrap()).unwrap();
        let container = &pod["spec"]["containers"][0];
        assert_eq!(pod["spec"]["securityContext"], outer);
        assert_eq!((&container["securityContext"], &container["resources"]), (&inner, &resources));
        assert_eq!(container["command"], json!(["/usr/sbin/nginx"]));

        let map = serde_json::to_value(configuration(&rival).unwrap()).unwrap();
        assert_eq!(map["data"]["nginx.conf"], "events {}");
        let volumes = pod["spec"]["volumes"].as_array().unwrap();
        let mounted = |path: &str| {
            let mounts = container["volumeMounts"].as_array().unwrap();
            let mount = mounts.iter().find(|mount| mount["mountPath"] == path).unwrap();
            volumes.iter().find(|volume| volume["name"] == mount["name"]).unwrap().clone()
        };
        assert_eq!(mounted(CONFIGURATION)["configMap"]["name"], map["metadata"]["name"]);
        assert_eq!(mounted(BUILT)["hostPath"]["path"], "/cache/go");
        assert_eq!(mounted("/usr")["hostPath"]["path"], "/usr");
    }
}
