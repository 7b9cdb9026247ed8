//! The Rouse API: `Function` and `Trigger`, their conditions and reasons, and every name, label, annotation and port
//! that two programs must agree on.
//!
//! Rust types here are what the programs read and write; the schemas that the API server enforces are derived from them
//! and completed in [`schema`] (list types, CEL rules, short descriptions of Kubernetes' own types). `cargo crdgen`
//! writes the YAML.

pub mod amount;
pub mod condition;
pub mod function;
pub mod labels;
pub mod names;
pub mod reference;
pub mod revision;
pub mod route;
pub mod rules;
pub mod schema;
pub mod trigger;

pub use amount::Amount;
pub use condition::{ConditionType, Reason};
pub use function::{Function, FunctionSpec, FunctionStatus};
pub use trigger::{Trigger, TriggerSpec, TriggerStatus};
