//! Code that runs without an image of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most bytes of [`Source::inline`]. It reaches the pod as one environment variable, of which Linux takes 128 KiB.
pub const MOST_BYTES: usize = 65_536;

/// Code that runs as it is: no image to build, no registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// What runs the code: one of the runtimes of this installation, which the chart's value runtimes names, such as python or node.
    #[schemars(length(min = 1, max = 63))]
    pub runtime: String,
    /// The code: one file, at most 64 KiB. It is kept in a ConfigMap of the revision, so no secrets belong into it.
    // The bound is for the API server's estimate of the rules; a rule of ours says how much is allowed, and what to do beyond.
    #[schemars(length(min = 1, max = 262_144))]
    pub inline: String,
    /// Name of the function in the code that answers requests. Default handler. 1 to 128 letters, digits, '_', '$' and '.'.
    #[serde(default = "default_entrypoint", skip_serializing_if = "is_default_entrypoint")]
    #[schemars(length(min = 1, max = 128))]
    pub entrypoint: String,
}

fn default_entrypoint() -> String {
    "handler".to_owned()
}

fn is_default_entrypoint(entrypoint: &String) -> bool {
    *entrypoint == default_entrypoint()
}
