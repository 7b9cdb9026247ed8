//! What the operator and the activator share: telemetry, the admin server, shutdown, the API client with deadlines, and
//! the reading of failed starts.

pub mod admin;
pub mod client;
pub mod failure;
pub mod shutdown;
pub mod telemetry;
