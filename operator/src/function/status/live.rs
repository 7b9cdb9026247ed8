//! How the revision that serves is scaled right now. Scaling goes on by the spec as it is, also where nothing else of it can
//! be carried out.

use crds::Function;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::{
    context::Context,
    function::{apply::replicas, resolve},
};

/// Replicas wanted of a revision, and whether they serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    /// Replicas wanted.
    pub replicas: i32,
    /// Whether every activator has proved one of its pods ready.
    pub ready: bool,
}

/// Looks at a revision. Reads the stores.
pub(super) fn look(cx: &Context, function: &Function, revision: &str, now: Instant) -> Live {
    let refs = resolve::references(cx, function, &[revision], now);
    let pods: Vec<String> = refs.pods_of(revision, false).filter_map(ResourceExt::uid).collect();
    let ready = !pods.is_empty() && cx.ready.ready_pods(revision, &pods).unwrap_or(0) > 0;
    Live { replicas: refs.deployment(revision).map_or(0, |deployment| replicas(deployment)), ready }
}
