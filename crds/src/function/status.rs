//! What the operator says of a Function. Written on transitions only; live numbers are metrics.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the operator says of a Function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionStatus {
    /// Generation of the spec that this status speaks of. Default -1: not looked at yet.
    #[serde(default = "crate::trigger::not_observed")]
    pub observed_generation: i64,
    /// Conditions, one a type: Ready, SourceValid, WorkloadAvailable, Addressable, Active; Degraded, Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
    /// Address of the function outside the cluster; inside it is http://NAME.NAMESPACE.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Revision that serves, which is its Deployment's name. Empty until the first one is in place.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub revision: String,
    /// Replicas wanted of the serving revision. Written when it changes.
    #[serde(default)]
    pub replicas: i32,
    /// Label selector of the serving revision's pods, as text: what the scale subresource tells an HPA.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub selector: String,
}

impl Default for FunctionStatus {
    fn default() -> Self {
        Self {
            observed_generation: crate::trigger::not_observed(),
            conditions: Vec::new(),
            url: String::new(),
            revision: String::new(),
            replicas: 0,
            selector: String::new(),
        }
    }
}
