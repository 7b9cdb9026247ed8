//! Events about a pod: the only place where a missing volume or a broken sandbox shows.

use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::{Api, Client, api::ListParams};
use runtime::{
    client::{CallError, within},
    failure::{Failure, of_event},
};

/// For one list.
const DEADLINE: Duration = Duration::from_secs(2);
/// Most Events that are read of one pod.
const LIMIT: u32 = 50;

/// What the newest telling Event about a pod says of its start, if any does.
///
/// # Errors
/// [`CallError`] when the API server does not give the list in time.
pub async fn of_pod(client: &Client, namespace: &str, pod_uid: &str) -> Result<Option<Failure>, CallError> {
    let events: Api<Event> = Api::namespaced(client.clone(), namespace);
    let about = ListParams::default().fields(&format!("involvedObject.uid={pod_uid}")).limit(LIMIT);
    let mut list = within(DEADLINE, events.list(&about)).await?.items;
    list.sort_by_key(|event| std::cmp::Reverse(event.last_timestamp.as_ref().map(|time| time.0)));
    Ok(list.iter().find_map(|event| of_event(event.reason.as_deref()?, event.message.as_deref().unwrap_or_default())))
}
