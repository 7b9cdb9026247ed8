//! One child: created if it is not there, left alone if it is as planned, else applied.

use std::{
    fmt::Debug,
    sync::{Arc, PoisonError},
};

use crds::{Function, names};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
};
use kube::{
    Api, Resource,
    api::{Patch, PatchParams, PostParams},
    core::{NamespaceResourceScope, PartialObjectMeta},
};
use runtime::client::{CallError, within};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::Instant;
use tracing::info;

use super::{
    Child, DEADLINE, Stop,
    drift::{covers, digest},
    owner::{self, Owner},
};
use crate::{
    context::Context,
    function::validate::Valid,
    metrics::ApiWrite,
    recent::Recent,
    stores::{Prune, unfold},
};

/// A kind of which a Function has children.
pub(super) trait Kind:
    Prune
    + Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    /// The whole object as JSON; what a store keeps may be shorter.
    fn json(&self) -> serde_json::Result<Value> {
        serde_json::to_value(self)
    }
}

impl Kind for Service {}
impl Kind for ServiceAccount {}
impl Kind for Deployment {
    fn json(&self) -> serde_json::Result<Value> {
        unfold(self)
    }
}

/// What is known of a child before a write.
pub(super) enum Found<K> {
    /// It is ours and was there before.
    There(Arc<K>),
    /// It was created just now.
    Created(Arc<K>),
}

/// What came of an attempt to create an object.
pub(super) enum Made<K> {
    /// It is new.
    Now(K),
    /// It was there, and is ours.
    Before(Arc<K>),
}

/// Brings a child to the plan. `seen`: what the store holds.
pub(super) async fn ensure<K: Kind>(
    cx: &Context,
    valid: &Valid,
    seen: Option<Arc<K>>,
    want: K,
    recent: &Recent<K>,
) -> Result<Arc<K>, Stop> {
    match find_or_create(cx, valid, seen, want.clone(), recent).await? {
        Found::Created(made) => Ok(made),
        Found::There(seen) => apply(cx, valid, seen, want, recent).await,
    }
}

/// The child, if it is ours; created as `want` if there is none.
pub(super) async fn find_or_create<K: Kind>(
    cx: &Context,
    valid: &Valid,
    seen: Option<Arc<K>>,
    want: K,
    recent: &Recent<K>,
) -> Result<Found<K>, Stop> {
    if let Some(seen) = seen {
        return ours(valid, seen).map(Found::There);
    }
    match create(cx, valid, &want).await? {
        Made::Now(mut made) => {
            made.prune();
            let made = Arc::new(made);
            recent.wrote(Arc::clone(&made), Instant::now());
            Ok(Found::Created(made))
        }
        Made::Before(there) => Ok(Found::There(there)),
    }
}

/// Creates an object. One of its name that no store shows lacks our label, or the watch lags: then it is asked whose it is.
pub(super) async fn create<K>(cx: &Context, valid: &Valid, want: &K) -> Result<Made<K>, Stop>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let child = child(want);
    still_there(cx, valid, &child).await?;
    let api: Api<K> = Api::namespaced(cx.client.clone(), &valid.namespace);
    may_write(cx)?;
    let params = PostParams { field_manager: Some(names::CREATE_MANAGER.to_owned()), ..PostParams::default() };
    match within(DEADLINE, api.create(&params, want)).await {
        Ok(made) => {
            info!(namespace = valid.namespace, child = %child, "Created.");
            cx.metrics.wrote(ApiWrite::Create);
            Ok(Made::Now(made))
        }
        Err(error) if error.status() == Some(409) => match within(DEADLINE, api.get(&child.name)).await {
            Ok(there) => ours(valid, Arc::new(there)).map(Made::Before),
            Err(error) => Err(Stop::of(child, error)),
        },
        Err(error) => Err(Stop::of(child, error)),
    }
}

/// Applies the plan to an object that is ours, unless the plan is in it already.
pub(super) async fn apply<K: Kind>(
    cx: &Context,
    valid: &Valid,
    seen: Arc<K>,
    mut want: K,
    recent: &Recent<K>,
) -> Result<Arc<K>, Stop> {
    let child = child(&want);
    let (Ok(planned), Ok(found)) = (want.json(), seen.json()) else { return Ok(seen) };
    let uid = seen.meta().uid.clone().unwrap_or_default();
    if covers(&planned, &found) || futile(cx, valid, &uid) == Some(digest(&found)) {
        return Ok(seen);
    }
    may_write(cx)?;
    // With the UID, an apply to an object that is gone fails instead of making it anew.
    want.meta_mut().uid = Some(uid.clone());
    let api: Api<K> = Api::namespaced(cx.client.clone(), &valid.namespace);
    let params = PatchParams::apply(names::OPERATOR_MANAGER).force();
    let now = within(DEADLINE, api.patch(&child.name, &params, &Patch::Apply(&want))).await;
    let mut now = now.map_err(|error| Stop::of(child.clone(), error))?;
    // As a store would keep it: it is compared with what the store shows next.
    now.prune();
    let now = Arc::new(now);
    info!(namespace = valid.namespace, child = %child, "Applied: it was not as planned.");
    cx.metrics.wrote(ApiWrite::Apply);
    recent.wrote(Arc::clone(&now), Instant::now());
    let left = now.json().ok().filter(|now| !covers(&planned, now));
    let mut futile = cx.futile.lock().unwrap_or_else(PoisonError::into_inner);
    match left {
        // Somebody else's admission webhook keeps it different: once is enough.
        Some(left) => _ = futile.insert((valid.uid.clone(), uid), digest(&left)),
        None => _ = futile.remove(&(valid.uid.clone(), uid)),
    }
    Ok(now)
}

/// An error unless the API server still has this very Function. A child's deletion may be seen before that of the
/// Function which it follows from: a child made anew then would be in the way of the next Function of that name.
/// A Function that nobody has looked at yet is new, and so not asked for.
pub(super) async fn still_there(cx: &Context, valid: &Valid, child: &Child) -> Result<(), Stop> {
    if valid.function.status.as_ref().is_none_or(|status| status.observed_generation < 0) {
        return Ok(());
    }
    let api: Api<PartialObjectMeta<Function>> = Api::namespaced(cx.client.clone(), &valid.namespace);
    match within(DEADLINE, api.get(&valid.name)).await {
        Ok(there) if there.metadata.uid.as_ref() != Some(&valid.uid) => Err(Stop::Gone),
        Ok(there) if there.metadata.deletion_timestamp.is_some() => Err(Stop::Gone),
        Ok(_) => Ok(()),
        Err(error) if error.status() == Some(404) => Err(Stop::Gone),
        Err(error) => Err(Stop::of(child.clone(), error)),
    }
}

/// The object, if it is this Function's and stays.
pub(super) fn ours<K: Resource<DynamicType = ()>>(valid: &Valid, object: Arc<K>) -> Result<Arc<K>, Stop> {
    let leaving = object.meta().deletion_timestamp.is_some();
    match owner::of(&*object, valid) {
        Owner::Ours if !leaving => Ok(object),
        Owner::Ours | Owner::Earlier => Err(Stop::Terminating(child(&*object))),
        Owner::Foreign if leaving => Err(Stop::Terminating(child(&*object))),
        Owner::Foreign => Err(Stop::Taken(child(&*object))),
    }
}

/// An error when a write might come to lie beyond this process's term.
pub(super) fn may_write(cx: &Context) -> Result<(), Stop> {
    cx.leadership.good_for(DEADLINE).map(|_| ()).ok_or(Stop::NotLeading)
}

pub(super) fn child<K: Resource<DynamicType = ()>>(object: &K) -> Child {
    // The kinds of our children are static; `Cow` is kube's for kinds that are known only at run time.
    let kind = match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "object",
    };
    Child { kind, name: object.meta().name.clone().unwrap_or_default() }
}

fn futile(cx: &Context, valid: &Valid, uid: &str) -> Option<u64> {
    let futile = cx.futile.lock().unwrap_or_else(PoisonError::into_inner);
    if futile.is_empty() {
        return None;
    }
    futile.get(&(valid.uid.clone(), uid.to_owned())).copied()
}

/// Whether a failed call says that the object had changed or gone since it was read.
pub(super) fn is_stale(error: &CallError) -> bool {
    matches!(error.status(), Some(404 | 409 | 422))
}
