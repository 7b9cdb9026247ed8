//! What the operator and the activator share: telemetry, the admin server, shutdown, the API client with deadlines, the
//! reading of failed starts, and the shortening of texts.

pub mod admin;
pub mod client;
pub mod failure;
pub mod shorten;
pub mod shutdown;
pub mod telemetry;
