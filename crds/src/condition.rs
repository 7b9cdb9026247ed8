//! Condition types and the closed list of their reasons.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde::{Deserialize, Serialize};

macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The name as the API writes it.
            pub const fn as_str(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)* }
            }

            /// The variant of that name, if there is one.
            pub fn parse(name: &str) -> Option<$name> {
                Self::ALL.iter().copied().find(|v| v.as_str() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    };
}

named! {
    /// Types of conditions. `Reconciling` and `Stalled` are kstatus' abnormal-true
    /// conditions: present only while true, as `Degraded` is.
    ConditionType {
        /// Summary. Of a Function: the next request will be served, warm or cold. Of a Trigger: its routes are in force.
        Ready,
        /// What the Function refers to could be read and is allowed.
        SourceValid,
        /// The serving revision's pods start, or would start, as far as is known.
        WorkloadAvailable,
        /// The function's address leads to the activator.
        Addressable,
        /// At least one pod is wanted. Informational: false at zero, which is healthy.
        Active,
        /// Requests are served, but something that was asked for is not done, or somebody undoes it. Present only while true.
        Degraded,
        /// Work towards the newest generation goes on.
        Reconciling,
        /// No progress until somebody changes something.
        Stalled,
    }
}

named! {
    /// Why a condition is as it is. Documented in `docs/reasons.md`.
    Reason {
        /// All is well.
        Ready,
        /// Well and at zero: no pod runs.
        ScaledToZero,
        /// Pods run or are wanted.
        Running,
        /// The activator is asked to start the first pod.
        Starting,
        /// `spec.scaling.mode` is `Paused`: requests are refused.
        Paused,
        /// `spec.scaling.mode` is `Manual` and `spec.scaling.replicas` is 0: requests are refused.
        ScaledToZeroByHand,
        /// The spec passed every check.
        Valid,
        /// The spec breaks a rule that the API server could not check.
        InvalidSpec,
        /// The Service, and so the address, is in place.
        ServiceReady,
        /// Another object, not of this Function, has a name that the Function needs. It is left untouched.
        NameTaken,
        /// Objects of an earlier Function of this name are still being deleted.
        Terminating,
        /// Children are being created or changed.
        Applying,
        /// A new revision is brought to the current load before it takes the traffic.
        RollingOut,
        /// The new revision did not become ready in time; the old one serves on.
        RevisionFailed,
        /// The image cannot be pulled.
        ImagePullError,
        /// The image's name is malformed.
        InvalidImageName,
        /// The container cannot be made from the spec: a Secret or ConfigMap, or a key of it, is missing.
        ContainerConfigError,
        /// The container cannot be created or its command cannot be run.
        ContainerStartError,
        /// The container exits again and again before it is ready.
        CrashLoop,
        /// The source cannot be loaded: a syntax error, an exception, or the entrypoint is missing.
        SourceError,
        /// The API server refuses pods of this function: quota, limits, policy, or a missing ServiceAccount.
        PodsRefused,
        /// No node takes the pod.
        Unschedulable,
        /// A volume cannot be mounted: what it names is missing.
        VolumeMountError,
        /// The node cannot make the pod's sandbox (network, runtime).
        SandboxError,
        /// The API server refuses a write of the operator; its message says why.
        ApiRefused,
        /// A schedule's cron or time zone is not understood: it is left out, the others count.
        InvalidSchedule,
        /// Somebody else writes the replicas of the function's Deployment, which are Rouse's to set.
        ForeignScaler,
        /// The Trigger's routes are in force.
        Routed,
        /// The Function that the Trigger names does not exist in its namespace.
        FunctionNotFound,
        /// An older Trigger has one of the routes.
        RouteConflict,
        /// One of the hosts is a function's own address.
        HostReserved,
    }
}

/// Sets `kind` to `status` in `conditions`; `lastTransitionTime` moves only when the status does. Keeps the order of
/// [`ConditionType`].
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    status: bool,
    reason: Reason,
    message: impl Into<String>,
    generation: i64,
    now: &Time,
) {
    let status = if status { "True" } else { "False" };
    let since = find(conditions, kind).filter(|c| c.status == status).map(|c| c.last_transition_time.clone());
    clear(conditions, kind);
    conditions.push(Condition {
        type_: kind.to_string(),
        status: status.to_owned(),
        reason: reason.to_string(),
        message: message.into(),
        observed_generation: Some(generation),
        last_transition_time: since.unwrap_or_else(|| now.clone()),
    });
    conditions.sort_by_key(|c| ConditionType::parse(&c.type_));
}

/// Removes `kind`: for conditions that are present only while true.
pub fn clear(conditions: &mut Vec<Condition>, kind: ConditionType) {
    conditions.retain(|c| c.type_ != kind.as_str());
}

/// The condition of that type, if it is there.
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind.as_str())
}

/// Whether the condition is there and `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == "True")
}
