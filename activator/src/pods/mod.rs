//! The pods of functions. A pod is its UID: an IP belongs to the newest UID that has it, a connection to the UID it was
//! opened for.

mod choose;
pub mod outlier;
mod pod;
mod pulse;
pub mod slot;
pub mod survey;

pub use choose::{Taken, fewest};
pub use pod::{Pod, Seen, Target};
