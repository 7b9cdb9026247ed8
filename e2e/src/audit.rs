//! Who wrote what and when, from the API server's own record.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Cluster;

/// One write that the API server has answered.
#[derive(Clone, Debug)]
pub struct Write {
    /// When the request reached the API server.
    pub received: Timestamp,
    /// When it was answered: of two writes to one object, the one answered first was stored first.
    pub answered: Timestamp,
    /// Who sent it.
    pub user: String,
    /// The pod whose token it came with; empty for those who need none.
    pub pod: String,
    /// The program that sent it, with the controller's name at the end for those that share a user.
    pub agent: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: String,
    /// Of what, with the subresource: `deployments/scale`.
    pub resource: String,
    /// API group of the resource; empty for the core group.
    pub group: String,
    /// Namespace of the object; empty for one in none.
    pub namespace: String,
    /// Name of the object; empty for a collection.
    pub name: String,
    /// HTTP status of the answer.
    pub code: u64,
    /// The request's body, kept for `deployments/scale` alone, else null.
    pub body: Value,
}

/// One write to a Deployment's `/scale` that the API server has answered.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// When the request reached the API server.
    pub received: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
    /// Who sent it.
    pub user: String,
    /// The pod whose token it came with.
    pub pod: String,
    /// Name of the Deployment.
    pub deployment: String,
    /// The replicas that were asked for. Zero may be left out of a Scale.
    pub replicas: i64,
    /// HTTP status of the answer.
    pub code: u64,
}

impl Scaling {
    /// Whether an activator sent it.
    pub fn by_activator(&self) -> bool {
        self.user.ends_with(":rouse-activator")
    }

    /// Whether the operator sent it.
    pub fn by_operator(&self) -> bool {
        self.user.ends_with(":rouse-operator")
    }

    /// Whether it was done.
    pub fn accepted(&self) -> bool {
        self.code == 200
    }
}

/// All writes that are recorded, since some moment, in the order in which they arrived. Which ones are: see the API
/// server's audit policy in `node::components`.
///
/// # Errors
/// On a cluster that is not the node of `cargo e2e up`: its API server's record is out of reach.
pub fn writes(cluster: &Cluster, since: Timestamp) -> Result<Vec<Write>> {
    read(cluster, |write| write.received >= since)
}

/// All writes to `/scale` in a namespace, in the order in which they arrived.
///
/// # Errors
/// As [`writes`].
pub fn scalings(cluster: &Cluster, namespace: &str) -> Result<Vec<Scaling>> {
    let all = read(cluster, |write| write.namespace == namespace && write.resource == "deployments/scale")?;
    Ok(all.into_iter().map(scaling).collect())
}

fn read(cluster: &Cluster, wanted: impl Fn(&Write) -> bool) -> Result<Vec<Write>> {
    let mut found = Vec::new();
    for file in files(cluster)? {
        let log = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        // The last line may be half written.
        let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        found.extend(events.filter_map(|event| write(&event)).filter(&wanted));
    }
    found.sort_by_key(|write| write.received);
    Ok(found)
}

/// The record and, once it has grown full, the one before it.
fn files(cluster: &Cluster) -> Result<Vec<PathBuf>> {
    let Cluster::Node(node) = cluster else { bail!("only the node of `cargo e2e up` records writes") };
    let current = node.paths().audit_log();
    let mut files = Vec::new();
    for entry in fs::read_dir(current.parent().context("a log without a folder")?)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("audit") && name.ends_with(".jsonl") {
            files.push(path);
        }
    }
    Ok(files)
}

fn write(event: &Value) -> Option<Write> {
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subresource = object["subresource"].as_str().map(|name| format!("/{name}")).unwrap_or_default();
    Some(Write {
        received: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
        answered: event["stageTimestamp"].as_str()?.parse().ok()?,
        user: event["user"]["username"].as_str()?.to_owned(),
        pod: text(&event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0]),
        agent: text(&event["userAgent"]),
        verb: text(&event["verb"]),
        resource: object["resource"].as_str()?.to_owned() + &subresource,
        group: text(&object["apiGroup"]),
        namespace: text(&object["namespace"]),
        name: text(&object["name"]),
        code: event["responseStatus"]["code"].as_u64()?,
        body: event["requestObject"].clone(),
    })
}

fn scaling(write: Write) -> Scaling {
    // A merge patch or a Scale is an object, a JSON Patch a list of operations.
    let replicas = match &write.body {
        Value::Array(operations) => operations.iter().find(|o| o["path"] == "/spec/replicas").map(|o| &o["value"]),
        whole => Some(&whole["spec"]["replicas"]),
    };
    Scaling {
        received: write.received,
        answered: write.answered,
        replicas: replicas.and_then(Value::as_i64).unwrap_or(0),
        user: write.user,
        pod: write.pod,
        deployment: write.name,
        code: write.code,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{scaling, write};

    fn event() -> Value {
        json!({
            "verb": "patch",
            "user": {
                "username": "system:serviceaccount:rouse-system:rouse-activator",
                "extra": {"authentication.kubernetes.io/pod-name": ["rouse-activator-1"]},
            },
            "objectRef": {
                "resource": "deployments", "namespace": "shop", "name": "hello-1", "apiGroup": "apps", "subresource": "scale",
            },
            "responseStatus": {"code": 200},
            "requestObject": {"spec": {"replicas": 5}},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.250000Z",
            "stageTimestamp": "2026-01-01T00:00:00.253000Z",
        })
    }

    #[test]
    fn a_scaling_is_read() {
        let read = write(&event()).unwrap();
        assert_eq!((read.resource.as_str(), read.namespace.as_str()), ("deployments/scale", "shop"));
        let read = scaling(read);
        assert_eq!((read.replicas, read.deployment.as_str(), read.pod.as_str()), (5, "hello-1", "rouse-activator-1"));
        assert!(read.by_activator() && !read.by_operator() && read.accepted());
        assert_eq!(read.answered.duration_since(read.received).as_millis(), 3);
    }

    #[test]
    fn zero_may_be_left_out_and_a_json_patch_is_understood() {
        let replicas = |body: Value| {
            let mut event = event();
            event["requestObject"] = body;
            scaling(write(&event).unwrap()).replicas
        };
        assert_eq!(replicas(json!({"spec": {}})), 0);
        let guarded = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "replace", "path": "/spec/replicas", "value": 2}]);
        assert_eq!(replicas(guarded), 2);
    }

    #[test]
    fn a_write_of_the_object_itself_is_no_scaling() {
        let mut event = event();
        event["objectRef"]["subresource"] = json!(null);
        assert_eq!(write(&event).unwrap().resource, "deployments");
        event["objectRef"] = json!(null);
        assert!(write(&event).is_none());
    }
}
