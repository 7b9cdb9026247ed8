//! `cargo e2e`: see `cargo e2e --help`.

use std::process::ExitCode;

use clap::Parser;
use e2e::commands::Cli;

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
