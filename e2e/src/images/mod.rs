//! Container images without a container engine: static binaries, and interpreters from Debian's packages, packed into OCI archives that
//! containerd, kind (`kind load image-archive`), minikube (`minikube image load`) and Docker take.

mod archive;
mod catalog;
mod compile;
mod debian;
mod framework;
mod interpreter;
mod load;
mod rootfs;
mod sandbox;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::cache::repository;
use crate::steps::Steps;

pub use archive::Archive;
pub use catalog::{Content, Image, PAUSE, TESTAPP, TESTAPP_2};
pub use load::load;
pub(crate) use sandbox::sandbox;

/// Where archives go unless told otherwise.
pub fn default_folder() -> PathBuf {
    repository().join("target/images")
}

/// Compiles the binaries of `images` and packs them into `folder`, one archive each. The same sources
/// give the same bytes.
pub fn build(images: &[Image], folder: &Path, steps: &Steps) -> Result<Vec<Archive>> {
    let binaries =
        if images.iter().any(|image| image.package().is_some()) { binaries(steps)? } else { BTreeMap::new() };
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let pack = |image: &Image| match image.content {
        Content::Binary(package) => {
            let binary = binaries.get(package).with_context(|| format!("{package} has no binary"))?;
            archive::pack(image, binary, folder)
        }
        Content::Interpreter(interpreter) => {
            let made = interpreter::pack(image, interpreter, steps)?;
            let path = folder.join(format!("{}.tar", image.name));
            fs::copy(&made.path, &path).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(Archive { path, ..made })
        }
    };
    let archives = images.iter().map(pack).collect();
    steps.run("image archives", |_| archives)
}

/// All of them, whichever are wanted: another set of packages means other features of their dependencies, and cargo would compile
/// those anew each time.
fn binaries(steps: &Steps) -> Result<BTreeMap<String, PathBuf>> {
    let step = steps.begin("static binaries");
    let packages: Vec<&str> = Image::all().iter().filter_map(Image::package).collect();
    let binaries = compile::release(&packages, None, &step)?;
    step.done("");
    Ok(binaries)
}
