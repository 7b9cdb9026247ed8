//! Container images without a container engine: static binaries, packed into OCI archives that
//! containerd, kind (`kind load image-archive`), minikube (`minikube image load`) and Docker take.

mod archive;
mod catalog;
mod compile;
mod load;
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::repository;
use crate::steps::Steps;

pub use archive::Archive;
pub use catalog::{Image, PAUSE, TESTAPP, TESTAPP_2};
pub use load::load;
pub(crate) use sandbox::sandbox;

/// Where archives go unless told otherwise.
pub fn default_folder() -> PathBuf {
    repository().join("target/images")
}

/// Compiles the binaries of `images` and packs them into `folder`, one archive each. The same sources
/// give the same bytes.
pub fn build(images: &[Image], folder: &Path, steps: &Steps) -> Result<Vec<Archive>> {
    let step = steps.begin("static binaries");
    // All of them, whichever are wanted: another set of packages means other features of their dependencies, and cargo
    // would compile those anew each time.
    let packages: Vec<&str> = Image::all().iter().map(|image| image.package).collect();
    let binaries = compile::release(&packages, None, &step)?;
    step.done("");
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let pack = |image: &Image| {
        let binary = binaries.get(image.package).with_context(|| format!("{} has no binary", image.package))?;
        archive::pack(image, binary, folder)
    };
    steps.run("image archives", |_| images.iter().map(pack).collect())
}
