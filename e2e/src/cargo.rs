//! cargo, run by a program that cargo runs.

use std::process::Command;

use crate::cache::repository;

/// cargo as the user would call it: without what an outer `cargo run` sets for this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(repository());
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(&*name);
        }
    }
    command
}
