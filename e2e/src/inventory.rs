//! Everything that there is: for tests that claim that nothing is left behind.

use std::collections::BTreeSet;

use ::kube::{
    Api, Client, ResourceExt,
    api::{DynamicObject, ListParams},
    discovery::{Discovery, Scope, verbs},
};
use anyhow::{Context, Result};

/// Every object of a namespace, of whatever kind, as `KIND NAME`. Without events, which tell of the past.
///
/// # Errors
/// When a kind cannot be listed.
pub async fn namespace(client: &Client, namespace: &str) -> Result<BTreeSet<String>> {
    list(client, Some(namespace)).await
}

/// Every object that is in no namespace, likewise.
///
/// # Errors
/// When a kind cannot be listed.
pub async fn cluster(client: &Client) -> Result<BTreeSet<String>> {
    list(client, None).await
}

async fn list(client: &Client, namespace: Option<&str>) -> Result<BTreeSet<String>> {
    let scope = if namespace.is_some() { Scope::Namespaced } else { Scope::Cluster };
    let mut found = BTreeSet::new();
    let discovery = Discovery::new(client.clone()).exclude(&["events.k8s.io", "metrics.k8s.io"]).run().await?;
    for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        if capabilities.scope != scope || !capabilities.supports_operation(verbs::LIST) || resource.kind == "Event" {
            continue;
        }
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        match api.list_metadata(&ListParams::default()).await {
            Ok(listed) => {
                found.extend(listed.items.iter().map(|object| format!("{} {}", resource.kind, object.name_any())))
            }
            // A CRD that was deleted after the discovery.
            Err(::kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error).with_context(|| format!("cannot list {}", resource.kind)),
        }
    }
    Ok(found)
}
