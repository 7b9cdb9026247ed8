//! Labels and annotations.

/// Name of the Function that an object belongs to: on Deployments (and in their selectors), pods, Services and
/// ServiceAccounts. The admission policies confine Rouse's programs to objects that carry it.
pub const FUNCTION: &str = "rouse.dev/function";
/// Name of the revision, which is also its Deployment's name: on Deployments (and in their selectors) and pods.
pub const REVISION: &str = "rouse.dev/revision";
/// UID of the Function: on Deployments and pods, never in a selector. Tells a re-created Function from the one before.
pub const FUNCTION_UID: &str = "rouse.dev/function-uid";
/// Name of the runtime: on pods and Deployments that run source.
pub const RUNTIME: &str = "rouse.dev/runtime";
/// Recommended label: which tool manages the object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub const MANAGED_BY_ROUSE: &str = "rouse";
/// Recommended label: name of the application, `rouse` on Rouse's own pods.
pub const APP_NAME: &str = "app.kubernetes.io/name";
/// Recommended label: `operator` or `activator` on Rouse's own pods.
pub const APP_COMPONENT: &str = "app.kubernetes.io/component";

/// Every label and annotation key of ours starts with this; users cannot set one through `spec.pod`.
pub const PREFIX: &str = "rouse.dev/";

/// Annotation of a Deployment: the shape of the pod template that the operator generates. It changes with the operator,
/// not with the Function, and is taken over at the next start from zero, never by a rollout.
pub const TEMPLATE_EPOCH: &str = "rouse.dev/template-epoch";
/// Within the value of [`TEMPLATE_EPOCH`], where pods start with a higher CPU limit than their own: what follows is that
/// limit. So a start-up boost that changes, or ends, is taken over like any other change of the template.
pub const BOOSTED: &str = "+cpu=";
/// Within the value of [`TEMPLATE_EPOCH`], before [`BOOSTED`], where pods run source: what follows is the runtime's image and a
/// hash of what else its functions have of it, so that another one is taken over at the next start from zero, too.
pub const RUN_BY: &str = "+image=";
/// Annotation of a Deployment: the path that proves a pod of it ready, as the Function had it when it last asked for this
/// revision. The path is no part of a revision, and one that a newer spec brings along says nothing of the pods before.
pub const READINESS_PATH: &str = "rouse.dev/readiness-path";
/// Annotation of a pod that starts with a higher CPU limit: the limit that it is given once it is ready.
pub const CPU_LIMIT: &str = "rouse.dev/cpu-limit";
/// Annotation of the leader's Lease: `ip:port` of its link server.
pub const LINK_ADDRESS: &str = "rouse.dev/link-address";
/// Annotation of the leader's Lease: SHA-256 of its certificate (DER), in lower-case hex.
pub const LINK_FINGERPRINT: &str = "rouse.dev/link-fingerprint";
/// Names the first pods to go when a ReplicaSet is lowered (KEP-2255).
pub const POD_DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The pods of one revision of a Function, as a label selector in text.
pub fn pods_of(function: &str, revision: &str) -> String {
    format!("{FUNCTION}={function},{REVISION}={revision}")
}
