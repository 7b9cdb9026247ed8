//! Writes the status of an object of ours.

#[cfg(test)]
mod tests;

use std::{fmt::Debug, sync::Arc, time::Duration};

use crds::names;
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
    core::NamespaceResourceScope,
    runtime::reflector::{ObjectRef, Store},
};
use runtime::client::{CallError, within};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::time::Instant;

use crate::{context::Context, metrics::ApiWrite, recent::Recent};

/// For one write.
const DEADLINE: Duration = Duration::from_secs(5);
/// Time to the next try where a write has to wait for the term.
pub const AGAIN: Duration = Duration::from_secs(1);

/// How a write went that met no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// The API server has it.
    Done,
    /// It was not tried: this process may not lead for as long as the write may take. Its term may go on all the same, and
    /// then nobody else would look again: try again after [`AGAIN`].
    NotNow,
    /// The object is gone, or another one has its name by now: the watch says so, or will.
    Gone,
}

/// Replaces the whole status, so that what is left out is gone; not of an object that was made anew meanwhile. `store`:
/// where objects of this kind are kept; `recent`: keeps the answer.
///
/// # Errors
/// [`CallError`] when the API server does not take it, though the object is there as far as is known.
pub async fn write<K>(
    cx: &Context,
    object: &K,
    status: &impl Serialize,
    store: &Store<K>,
    recent: &Recent<K>,
) -> Result<Written, CallError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    if cx.leadership.good_for(DEADLINE).is_none() {
        return Ok(Written::NotNow);
    }
    let patch = json!([
        {"op": "test", "path": "/metadata/uid", "value": object.meta().uid},
        {"op": "add", "path": "/status", "value": status},
    ]);
    let patch = serde_json::from_value(patch).map_err(kube::Error::SerdeError)?;
    let api: Api<K> = Api::namespaced(cx.client.clone(), &object.namespace().unwrap_or_default());
    let params = PatchParams { field_manager: Some(names::OPERATOR_MANAGER.to_owned()), ..PatchParams::default() };
    match within(DEADLINE, api.patch_status(&object.name_any(), &params, &Patch::Json::<()>(patch))).await {
        Ok(now) => {
            cx.metrics.wrote(ApiWrite::Status);
            recent.wrote(Arc::new(now), Instant::now());
            Ok(Written::Done)
        }
        Err(error) if error.status() == Some(404) => Ok(Written::Gone),
        // The answer to a test that fails; and to a status that breaks the schema, of an object that is there.
        Err(error) if error.status() == Some(422) => {
            let there = store.get(&ObjectRef::from_obj(object));
            if there.is_some_and(|there| there.meta().uid == object.meta().uid) {
                Err(error)
            } else {
                Ok(Written::Gone)
            }
        }
        Err(error) => Err(error),
    }
}
