//! `Function`: an image, or code, that runs while it is called.

mod mount;
mod pod;
mod resources;
mod scaling;
mod schedule;
mod source;
mod status;

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use mount::{EmptyDirMount, Mount, NamedMount};
pub use pod::{ImagePullPolicy, PodOptions};
pub use resources::{Resources, cpu_milli_of, default_memory};
pub use scaling::{Idle, Metric, Mode, Queue, Readiness, Scaling, Timeouts};
pub use schedule::Schedule;
pub use source::{MOST_BYTES, Source};
pub use status::FunctionStatus;

/// Function runs a container while it is called and keeps nothing running while it is not.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "rouse.dev",
    version = "v1alpha1",
    kind = "Function",
    plural = "functions",
    shortname = "rfn",
    category = "rouse",
    category = "all",
    namespaced,
    status = "FunctionStatus",
    scale(
        spec_replicas_path = ".spec.scaling.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    derive = "PartialEq",
    doc = "Function runs a container while it is called and keeps nothing running while it is not."
)]
#[serde(rename_all = "camelCase")]
pub struct FunctionSpec {
    /// Container image, with tag or digest. Any program that listens on $PORT. 1 to 1024 characters, no spaces. Either image or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub image: Option<String>,
    /// Code that runs as it is, in an image of the installation's. Either image or source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// When to pull the image. Default IfNotPresent, so that a start needs no registry once a node has the image. One of Always, IfNotPresent, Never.
    #[serde(default, skip_serializing_if = "is_default")]
    pub image_pull_policy: ImagePullPolicy,
    /// Command of the container, in place of the image's entrypoint. Not run in a shell. At most 64 items; empty (the default) = the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub command: Vec<String>,
    /// Arguments of the command. At most 256 items; empty (the default) = the image's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub args: Vec<String>,
    /// Environment variables. PORT is set by Rouse and cannot be given. At most 256 items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,
    /// ConfigMaps and Secrets of the same namespace whose keys become environment variables. At most 32 items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub env_from: Vec<EnvFromSource>,
    /// Volumes. Each one makes a cold start slower (about 0.3 s for the first), so prefer env. At most 16 items.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub mounts: Vec<Mount>,
    /// TCP port on which the program listens; also given to it as $PORT. Default 8080. Range 1 to 65535.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// What the program speaks: HTTP1, or H2C for HTTP/2 without TLS, as gRPC needs it. Default HTTP1.
    #[serde(default)]
    pub protocol: Protocol,
    /// Memory and CPU of one replica.
    #[serde(default)]
    pub resources: Resources,
    /// How many replicas run, and when none.
    #[serde(default)]
    pub scaling: Scaling,
    /// How long a request may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How many requests may wait.
    #[serde(default)]
    pub queue: Queue,
    /// When a new replica counts as ready. Asked by the activator, not by the kubelet.
    #[serde(default)]
    pub readiness: Readiness,
    /// ServiceAccount of the pods, in the same namespace. Empty (the default) = one made for this function, with no rights. No token is mounted either way.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub service_account_name: String,
    /// Whether answers to callers may say what went wrong inside: the last lines of the traceback where the source cannot be loaded. Default false: they are in the conditions and the log alone.
    #[serde(default, skip_serializing_if = "is_default")]
    pub debug: bool,
    /// Further settings of the pods.
    #[serde(default, skip_serializing_if = "is_default")]
    pub pod: PodOptions,
}

/// Protocol between activator and pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    HTTP1,
    /// HTTP/2 with prior knowledge, without TLS.
    H2C,
}

fn default_port() -> i32 {
    8080
}

/// Whether a value is its type's default: such fields are left out when a Function is written.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
