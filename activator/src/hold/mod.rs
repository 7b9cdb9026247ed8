//! The queue of held requests: a bounded FIFO for each function, shares for namespaces and the process, and the pace at
//! which a queue is let go.

pub mod comeback;
pub mod gate;
pub mod grant;
pub mod pace;
pub mod places;
pub mod queue;

pub use gate::{Entry, Gate, Ticket, Watch};
pub use grant::Grant;
pub use pace::Pace;
pub use places::{Place, Places, Used};

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
