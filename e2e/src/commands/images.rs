//! `cargo e2e images`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use crate::images::{self, Image};
use crate::node::Node;
use crate::preflight;
use crate::steps::Steps;

/// Build the images, and load them into the node if it is up.
///
/// Static binaries are packed into OCI archives, one tar file each, with no container engine. The same
/// files load into your own cluster: `kind load image-archive target/images/operator.tar`,
/// `minikube image load target/images/operator.tar`.
#[derive(Debug, Args)]
pub(super) struct Images {
    /// Which images; if none is named all of them, but for those of a bench: framework-python and framework-node.
    #[arg(value_name = "IMAGE")]
    names: Vec<String>,
    /// The folder for the archives.
    #[arg(short, long, value_name = "DIR", default_value_os_t = images::default_folder())]
    output: PathBuf,
}

impl Images {
    pub(super) fn run(self) -> Result<()> {
        let steps = Steps::new();
        let chosen = self.chosen()?;
        preflight::images(&steps)?;
        if chosen.iter().any(|image| Image::frameworks().iter().any(|its| its.name == image.name)) {
            preflight::frameworks(&steps)?;
        }
        let archives = images::build(&chosen, &self.output, &steps)?;
        let node = Node::find()?;
        for archive in &archives {
            let loaded = match &node {
                Some(node) if images::load(node, archive)? => "loaded",
                Some(_) => "on the node already",
                None => "",
            };
            println!("{:<32}{}  {loaded}", archive.reference, archive.path.display());
        }
        Ok(())
    }

    fn chosen(&self) -> Result<Vec<Image>> {
        if self.names.is_empty() {
            return Ok(Image::all());
        }
        let all = [Image::all(), Image::frameworks().to_vec()].concat();
        if let Some(unknown) = self.names.iter().find(|name| all.iter().all(|image| image.name != **name)) {
            let known: Vec<_> = all.iter().map(|image| image.name).collect();
            bail!("no image is named {unknown}; there are: {}", known.join(", "));
        }
        Ok(all.into_iter().filter(|image| self.names.iter().any(|name| name == image.name)).collect())
    }
}
