//! Fuzz targets: whatever comes, what is passed on or read is in order, means one thing only, and means the same to hyper.
//!
//! `cargo test` runs each for a second over random inputs, and over its corpus (`__fuzz__/*/corpus` beside this file); how to
//! run them for longer says `docs/http.md`.

mod plain;
mod requests;
mod responses;
