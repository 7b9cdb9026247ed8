//! `cargo e2e install`.

use anyhow::Result;
use clap::Args;

use super::ready;
use crate::steps::Steps;

/// Bring the node up, build the images and install Rouse with Helm.
///
/// What is there already is not made again; after a change of the source it upgrades.
#[derive(Debug, Args)]
pub(super) struct Install {
    /// A setting of the chart, as for `helm --set`. May be given several times.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Install {
    pub(super) fn run(self) -> Result<()> {
        let settings: Vec<String> = self.set.iter().flat_map(|s| ["--set".to_owned(), s.clone()]).collect();
        ready::with_rouse(&Steps::new(), &settings)?;
        eprintln!("Rouse is installed. Try: cargo e2e kubectl apply -f examples/hello-image/");
        eprintln!("                         cargo e2e curl http://hello.default/");
        Ok(())
    }
}
