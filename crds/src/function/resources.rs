//! Memory and CPU of one replica.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Amount, amount::NotAnAmount};

/// MiB of memory that buy one core where no CPU is asked for: AWS Lambda's published coupling.
const MIB_PER_CORE: i128 = 1769;

/// Memory and CPU of one replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    /// Memory, as request and limit alike, as a quantity. Default 128Mi. At least 8Mi.
    #[serde(default = "default_memory")]
    pub memory: Amount,
    /// CPU request, in cores, as a quantity such as 100m. Unset (the default) = memory / 1769Mi of a core. At least 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Amount>,
    /// CPU limit, in cores, as a quantity; must exceed the request. Unset (the default) = none. A small limit slows the start: pods
    /// start with a higher one (start-up boost; the installation says how much) and get this one in place once ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<Amount>,
}

impl Default for Resources {
    fn default() -> Self {
        Self { memory: default_memory(), cpu: None, cpu_limit: None }
    }
}

impl Resources {
    /// The CPU request in thousandths of a core, at least 1.
    ///
    /// # Errors
    /// [`NotAnAmount`] when a quantity is malformed.
    pub fn cpu_request_milli(&self) -> Result<i128, NotAnAmount> {
        match &self.cpu {
            Some(cpu) => cpu.milli(),
            None => Ok((self.memory.milli()? / (MIB_PER_CORE * 1_048_576)).max(1)),
        }
    }
}

fn default_memory() -> Amount {
    Amount("128Mi".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_follows_memory_unless_it_is_asked_for() {
        let of = |memory: &str, cpu: Option<&str>| Resources {
            memory: Amount(memory.into()),
            cpu: cpu.map(|c| Amount(c.into())),
            cpu_limit: None,
        };
        assert_eq!(of("128Mi", None).cpu_request_milli(), Ok(72));
        assert_eq!(of("1769Mi", None).cpu_request_milli(), Ok(1000));
        assert_eq!(of("8Mi", None).cpu_request_milli(), Ok(4));
        assert_eq!(of("8Mi", Some("250m")).cpu_request_milli(), Ok(250));
    }
}
