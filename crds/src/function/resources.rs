//! Memory and CPU of one replica.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Amount;

/// MiB of memory that buy one core where no CPU is asked for: AWS Lambda's published coupling.
const MIB_PER_CORE: i128 = 1769;

/// Memory and CPU of one replica.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Memory, as request and limit alike, as a quantity. Unset (the default) = what the installation gives the source's runtime,
    /// and 128Mi for an image. At least 8Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Amount>,
    /// CPU request, in cores, as a quantity such as 100m. Unset (the default) = that of the source's runtime, or else memory / 1769Mi
    /// of a core. At least 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// CPU limit, in cores, as a quantity; must exceed the request. Unset (the default) = none. A small limit slows the start: pods
    /// start with a higher one (start-up boost; the installation says how much) and get this one in place once ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Amount>,
}

/// Memory of a function with an image that asks for none.
pub fn default_memory() -> Amount {
    Amount("128Mi".to_owned())
}

/// The CPU request that comes with memory, given in thousandths of a byte: in thousandths of a core, at least 1.
pub fn cpu_milli_of(memory_milli: i128) -> i128 {
    (memory_milli / (MIB_PER_CORE * 1_048_576)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_comes_with_memory() {
        for (memory, milli) in [("128Mi", 72), ("1769Mi", 1000), ("8Mi", 4), ("1Ki", 1)] {
            assert_eq!(Amount(memory.into()).milli().map(cpu_milli_of), Ok(milli), "{memory}");
        }
    }
}
