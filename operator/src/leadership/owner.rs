//! Who the Lease belongs to: the ServiceAccount that this process runs as. Helm does not know of the Lease; with an owner
//! of the release it goes with the release, by Kubernetes' garbage collection. (A pod would be no owner: the Lease outlives
//! every pod. And the chart cannot bring the Lease itself: Argo CD leaves Leases out, and an operator that may not make
//! one again would never lead again after a deletion.)

use std::time::Duration;

use crds::names;
use k8s_openapi::api::{authentication::v1::SelfSubjectReview, coordination::v1::Lease, core::v1::ServiceAccount};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
};
use runtime::client::{CallError, within};
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};
use tracing::{info, warn};

/// For one call.
const DEADLINE: Duration = Duration::from_secs(5);
/// Pause after a failure, doubled with each up to [`RETRY_MOST`].
const RETRY: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(60);

/// Gives the Lease its owner each time that this process takes it, for it may be another Lease by then. Nothing waits for
/// that: an operator leads without it all the same.
pub(super) async fn keep(client: Client, namespace: &str, mut holds: watch::Receiver<bool>) {
    let mut owner = None;
    while holds.wait_for(|holds| *holds).await.is_ok() {
        let lost = async {
            // The error says that the election is over.
            let _ = holds.wait_for(|holds| !*holds).await;
        };
        let given = async {
            give(&client, namespace, &mut owner).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = lost => {}
            () = given => {}
        }
    }
    // The election ends by itself.
    std::future::pending().await
}

/// Tries until it has worked, or cannot.
async fn give(client: &Client, namespace: &str, owner: &mut Option<Value>) {
    let mut pause = RETRY;
    loop {
        match write(client, namespace, owner).await {
            Ok(true) => return,
            Ok(false) => {
                info!(
                    "This process does not run as a ServiceAccount of the Lease's namespace: the Lease has no owner."
                );
                return;
            }
            Err(error) => warn!(%error, "The Lease could not be given its owner; trying again."),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_MOST);
    }
}

/// `false`: there is nobody to give it to.
async fn write(client: &Client, namespace: &str, owner: &mut Option<Value>) -> Result<bool, CallError> {
    let known = match owner.take() {
        Some(known) => known,
        None => match own_account(client, namespace).await? {
            Some(found) => found,
            None => return Ok(false),
        },
    };
    // Owners are merged by their UID, so nobody else's is taken away, and the same again changes nothing.
    let patch = json!({"metadata": {"ownerReferences": [owner.insert(known)]}});
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    let api: Api<Lease> = Api::namespaced(client.clone(), namespace);
    within(DEADLINE, api.patch(names::LEASE, &params, &Patch::Strategic(patch))).await?;
    Ok(true)
}

/// The ServiceAccount that this process runs as, as an owner. Whoever is authenticated may ask who he is.
async fn own_account(client: &Client, namespace: &str) -> Result<Option<Value>, CallError> {
    let api: Api<SelfSubjectReview> = Api::all(client.clone());
    let review = within(DEADLINE, api.create(&PostParams::default(), &SelfSubjectReview::default())).await?;
    let user = review.status.and_then(|status| status.user_info).unwrap_or_default();
    let (name, uid) = (user.username.unwrap_or_default(), user.uid.unwrap_or_default());
    let name = name.strip_prefix(&format!("system:serviceaccount:{namespace}:")).filter(|_| !uid.is_empty());
    Ok(name.map(|name| {
        json!({
            "apiVersion": ServiceAccount::api_version(&()), "kind": ServiceAccount::kind(&()),
            "name": name, "uid": uid,
        })
    }))
}
