//! Volumes of a function's pods: an allow-list, not Kubernetes' whole type.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Amount;

/// One volume and where it appears. Exactly one of configMap, secret, emptyDir and persistentVolumeClaim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Absolute path in the container, without `..`. Required, unique, 2 to 255 characters.
    #[schemars(length(min = 2, max = 255))]
    pub path: String,
    /// Whether the container may not write there. Default false; a ConfigMap or Secret is never writable.
    #[serde(default, skip_serializing_if = "super::is_default")]
    pub read_only: bool,
    /// A ConfigMap of the same namespace: each key a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<NamedMount>,
    /// A Secret of the same namespace: each key a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<NamedMount>,
    /// An empty directory that lives and dies with the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDirMount>,
    /// A PersistentVolumeClaim of the same namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<NamedMount>,
}

/// Names an object of the Function's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NamedMount {
    /// Name of the object. Required, 1 to 253 characters.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// An empty directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDirMount {
    /// Most bytes that it may hold, as a quantity such as 64Mi; beyond it the pod is evicted. Unset (the default) = the node's own limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Amount>,
}
