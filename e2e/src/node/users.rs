//! Who may talk to the API server from outside a pod: one bearer token and one kubeconfig each.

use anyhow::Result;
use serde_json::json;
use uuid::Uuid;

use super::address::{API_PORT, NODE_IP, NODE_NAME};
use super::paths::Paths;
use super::pki;

/// Name of the kubeconfig, user name, groups.
fn all() -> [(&'static str, String, &'static str); 6] {
    let system = |name: &str| format!("system:{name}");
    [
        ("admin", "admin".into(), "system:masters"),
        ("controller-manager", system("kube-controller-manager"), "system:masters"),
        ("scheduler", system("kube-scheduler"), "system:masters"),
        ("dns", system("coredns"), "system:masters"),
        ("kubelet", system(&format!("node:{NODE_NAME}")), "system:nodes"),
        ("proxy", system("kube-proxy"), "system:node-proxier"),
    ]
}

/// Writes the API server's token file and a kubeconfig for each user.
pub(crate) fn write(paths: &Paths) -> Result<()> {
    let mut tokens = String::new();
    for (name, user, groups) in all() {
        let token = Uuid::new_v4().simple().to_string();
        tokens.push_str(&format!("{token},{user},{user},\"{groups}\"\n"));
        pki::secret(&paths.kubeconfig(name), &kubeconfig(paths, &token)?)?;
    }
    pki::secret(&paths.pki("users.csv"), &tokens)
}

fn kubeconfig(paths: &Paths, token: &str) -> Result<String> {
    let server = format!("https://{NODE_IP}:{API_PORT}");
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "rouse", "cluster": {"server": server, "certificate-authority": paths.pki("ca.crt")}}],
        "users": [{"name": "rouse", "user": {"token": token}}],
        "contexts": [{"name": "rouse", "context": {"cluster": "rouse", "user": "rouse"}}],
        "current-context": "rouse",
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
