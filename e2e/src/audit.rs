//! Who scaled what and when, from the API server's own record.

use std::fs;

use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use serde_json::Value;

use crate::cluster::Cluster;

/// One write to a Deployment's `/scale` that the API server has answered.
#[derive(Clone, Debug)]
pub struct Scaling {
    /// When the request reached the API server.
    pub received: Timestamp,
    /// When it was answered.
    pub answered: Timestamp,
    /// Who sent it.
    pub user: String,
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

    /// Whether it was done.
    pub fn accepted(&self) -> bool {
        self.code == 200
    }
}

/// All writes to `/scale` in a namespace, in the order in which they arrived.
///
/// # Errors
/// On a cluster that is not the node of `cargo e2e up`: its API server's record is out of reach.
pub fn scalings(cluster: &Cluster, namespace: &str) -> Result<Vec<Scaling>> {
    let Cluster::Node(node) = cluster else { bail!("only the node of `cargo e2e up` records writes") };
    let path = node.paths().audit_log();
    let log = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // The last line may be half written.
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut found: Vec<Scaling> = events.filter_map(|event| scaling(&event, namespace)).collect();
    found.sort_by_key(|scaling| scaling.received);
    Ok(found)
}

fn scaling(event: &Value, namespace: &str) -> Option<Scaling> {
    let object = &event["objectRef"];
    let ours =
        object["namespace"] == namespace && object["resource"] == "deployments" && object["subresource"] == "scale";
    ours.then(|| {
        Some(Scaling {
            received: event["requestReceivedTimestamp"].as_str()?.parse().ok()?,
            answered: event["stageTimestamp"].as_str()?.parse().ok()?,
            user: event["user"]["username"].as_str()?.to_owned(),
            deployment: object["name"].as_str()?.to_owned(),
            replicas: event["requestObject"]["spec"]["replicas"].as_i64().unwrap_or(0),
            code: event["responseStatus"]["code"].as_u64()?,
        })
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::scaling;

    #[test]
    fn a_scaling_is_read_and_other_writes_are_not() {
        let mut event = json!({
            "verb": "patch",
            "user": {"username": "system:serviceaccount:rouse-system:rouse-activator"},
            "objectRef": {"resource": "deployments", "namespace": "shop", "name": "hello-1", "subresource": "scale"},
            "responseStatus": {"code": 200},
            "requestObject": {"spec": {"replicas": 5}},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.250000Z",
            "stageTimestamp": "2026-01-01T00:00:00.253000Z",
        });
        let read = scaling(&event, "shop").unwrap();
        assert_eq!((read.replicas, read.deployment.as_str()), (5, "hello-1"));
        assert!(read.by_activator() && read.accepted());
        assert_eq!(read.answered.duration_since(read.received).as_millis(), 3);
        assert!(scaling(&event, "other").is_none());
        event["objectRef"]["subresource"] = json!(null);
        assert!(scaling(&event, "shop").is_none());
    }
}
