//! `Trigger`: which events reach a Function.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Trigger says which events reach a Function of its namespace.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "rouse.dev",
    version = "v1alpha1",
    kind = "Trigger",
    plural = "triggers",
    shortname = "rtr",
    category = "rouse",
    category = "all",
    namespaced,
    status = "TriggerStatus",
    derive = "PartialEq",
    doc = "Trigger says which events reach a Function of its namespace."
)]
#[serde(rename_all = "camelCase")]
pub struct TriggerSpec {
    /// The Function, in the Trigger's own namespace.
    pub function_ref: FunctionRef,
    /// Requests by host, path and method.
    pub http: HttpSource,
}

/// Names a Function of the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FunctionRef {
    /// Name of the Function. Required, 1 to 50 characters.
    #[schemars(length(min = 1, max = 50))]
    pub name: String,
}

/// Requests by host, path and method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HttpSource {
    /// Host names, in lower case, without a port. 1 to 16 items. A function's own addresses cannot be claimed.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    pub hosts: Vec<String>,
    /// Path. Default: the prefix /, which is every path.
    #[serde(default)]
    pub path: PathMatch,
    /// Methods, each once. Empty (the default) = every method. At most 9 items. For one path, a Trigger that names a method goes before one that names none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub methods: Vec<Method>,
}

/// Which paths match.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PathMatch {
    /// Exact: this path alone. Prefix: this path and all below it, by whole segments: /a matches /a/b and not /ab. Default Prefix.
    #[serde(rename = "type")]
    pub kind: PathKind,
    /// The path, beginning with /. Default /. 1 to 1024 characters. The longest match wins, an exact one first.
    #[schemars(length(min = 1, max = 1024))]
    pub value: String,
}

impl Default for PathMatch {
    fn default() -> Self {
        Self { kind: PathKind::Prefix, value: "/".to_owned() }
    }
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum PathKind {
    /// The path alone.
    Exact,
    /// The path and all below it.
    #[default]
    Prefix,
}

/// HTTP method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Trace,
    Connect,
}

impl Method {
    /// As it stands in a request line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Connect => "CONNECT",
        }
    }
}

/// What the operator says of a Trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TriggerStatus {
    /// Generation of the spec that this status speaks of. Default -1: not looked at yet.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,
    /// Conditions, one a type: Ready; Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub conditions: Vec<Condition>,
}

impl Default for TriggerStatus {
    fn default() -> Self {
        Self { observed_generation: not_observed(), conditions: Vec::new() }
    }
}

/// The `observedGeneration` of an object that nobody has looked at: kstatus then says "in progress".
pub(crate) fn not_observed() -> i64 {
    -1
}
