//! What must be on the machine before a node can start, and how it gets there.

mod go;
mod no_start;
mod packages;
mod root;
mod rust;

use anyhow::Result;

use crate::steps::Steps;

pub(crate) use packages::SYSTEM_PATH;
pub use packages::{NODE, Package, ensure, find};
pub use root::is_root;
pub use rust::TARGET;

/// Everything that `cargo e2e up` needs, checked in the order of how soon it can be mended.
/// Nothing is started before all of it is there.
pub fn node(steps: &Steps) -> Result<()> {
    root::require()?;
    packages::ensure(steps, NODE)?;
    go::require()?;
    rust::ensure_target(steps)
}

/// What building the images needs. Root is not among it.
pub fn images(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::IMAGES)?;
    rust::ensure_target(steps)
}

/// What the test of HTTP/2 is built with.
pub(crate) fn conformance() -> Result<()> {
    go::require()
}

/// What the bench of proxies measures, and measures with. Nothing else needs it.
pub(crate) fn proxies(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::PROXIES)?;
    go::require()
}

/// What the bench of frameworks packs its images with, and measures with. Nothing else needs it.
pub(crate) fn frameworks(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::FRAMEWORKS)
}

/// What runs the runtimes' own tests.
pub fn runtimes(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::RUNTIMES)
}

/// What the commands of examples and docs call that no node has.
pub(crate) fn pages(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::PAGES)?;
    go::require()
}

/// The servers of the differential test, but for Go's, which is built.
pub(crate) fn readers(steps: &Steps) -> Result<()> {
    packages::ensure(steps, packages::READERS)?;
    go::require()
}
