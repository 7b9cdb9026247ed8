//! Fuzz targets: whatever a caller says of itself, a function sees only what Rouse says, and nothing leads it to a Trigger
//! that is another's. See `wire/fuzz.rs` for how they run.

mod headers;
mod routes;
