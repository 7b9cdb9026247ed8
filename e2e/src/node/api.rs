//! The API server of the node, as far as its own start needs it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::{Node, ServiceAccount};
use kube::api::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::time::timeout;

const ONE_TRY: Duration = Duration::from_secs(2);

/// A client with a kubeconfig file's current context.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let file = Kubeconfig::read_from(kubeconfig).with_context(|| format!("cannot read {}", kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Client::try_from(config)?)
}

/// Whether the API server says that it is ready.
pub(crate) async fn ready(client: &Client) -> bool {
    let Ok(request) = http::Request::get("/readyz").body(Vec::new()) else { return false };
    matches!(timeout(ONE_TRY, client.request_text(request)).await, Ok(Ok(_)))
}

/// Whether the kubelet has reported its node ready.
pub(crate) async fn node_ready(client: &Client, name: &str) -> bool {
    let nodes: Api<Node> = Api::all(client.clone());
    let Ok(Ok(Some(node))) = timeout(ONE_TRY, nodes.get_opt(name)).await else { return false };
    let conditions = node.status.and_then(|status| status.conditions).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Whether pods of the default namespace have an account to run as.
pub(crate) async fn default_account(client: &Client) -> bool {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    matches!(timeout(ONE_TRY, accounts.get_opt("default")).await, Ok(Ok(Some(_))))
}
