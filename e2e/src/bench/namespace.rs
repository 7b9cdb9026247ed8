//! A bench's own namespace, and functions in it.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use crds::{ConditionType, Function, condition};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// How long a function may take to be Ready.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes the namespace for the time of some work.
pub(super) async fn during<T>(client: &Client, name: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    namespaces.create(&PostParams::default(), &namespace).await?;
    let done = work.await;
    namespaces.delete(name, &DeleteParams::background()).await?;
    done
}

/// Makes a function and gives its revision once it is Ready.
pub(super) async fn function(client: &Client, namespace: &str, name: &str, spec: Value) -> Result<String> {
    let functions: Api<Function> = Api::namespaced(client.clone(), namespace);
    let wanted: Function = serde_json::from_value(json!({
        "apiVersion": "rouse.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": spec,
    }))?;
    functions.create(&PostParams::default(), &wanted).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = functions.get(name).await?.status.unwrap_or_default();
        if condition::is_true(&status.conditions, ConditionType::Ready) {
            return Ok(status.revision);
        }
        ensure!(Instant::now() < deadline, "the function is not Ready: {:?}", status.conditions);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
