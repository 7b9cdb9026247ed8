//! `cargo e2e plot`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::soak::plot;
use crate::stored;

/// Draw a soak's report: load, what waited, and replicas over time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo e2e soak burst --json burst.json && cargo e2e plot burst.json burst.svg")]
pub(super) struct Plot {
    /// What `cargo e2e soak NAME --json` wrote.
    #[arg(value_name = "REPORT.json")]
    report: PathBuf,
    /// Where to draw.
    #[arg(value_name = "PICTURE.svg")]
    picture: PathBuf,
}

impl Plot {
    pub(super) fn run(self) -> Result<()> {
        let report = stored::load(&self.report)?.with_context(|| format!("there is no {}", self.report.display()))?;
        plot::draw(&report, &self.picture)
    }
}
