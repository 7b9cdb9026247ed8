//! Rouse on a cluster: images loaded, chart installed, as a user would by hand.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{
    cluster::Cluster,
    images::{self, Archive, Image},
    kube, repository,
    steps::Steps,
};

/// Namespace of the installation.
pub const NAMESPACE: &str = "rouse-system";
/// Name of the Helm release.
pub const RELEASE: &str = "rouse";
/// Service of the activator.
pub const ACTIVATOR: &str = "rouse-activator";
/// Deployment of the operator.
pub const OPERATOR: &str = "rouse-operator";

/// The chart in this repository.
pub fn chart() -> PathBuf {
    repository().join("charts/rouse")
}

/// Builds the images and, on a node of ours, loads them. Gives arguments for [`chart_installed`] that make Kubernetes
/// replace pods of an older build: a tag alone does not change with the source.
///
/// # Errors
/// When a build fails or containerd refuses an image.
pub fn images(cluster: &Cluster, steps: &Steps) -> Result<Vec<String>> {
    let archives = loaded(cluster, &Image::all(), steps)?;
    let mut settings = Vec::new();
    for (image, archive) in Image::all().iter().zip(&archives) {
        if Image::product().iter().any(|product| product.name == image.name) {
            settings.push("--set-string".to_owned());
            settings.push(format!("{}.podAnnotations.build={}", image.name, archive.digest));
        }
    }
    Ok(settings)
}

/// Builds `wanted` and, on a node of ours, loads them.
///
/// # Errors
/// When a build fails or containerd refuses an image.
pub fn loaded(cluster: &Cluster, wanted: &[Image], steps: &Steps) -> Result<Vec<Archive>> {
    let archives = images::build(wanted, &images::default_folder(), steps)?;
    if let Cluster::Node(node) = cluster {
        for archive in &archives {
            images::load(node, archive)?;
        }
    }
    Ok(archives)
}

/// The arguments of `helm` that install or upgrade the chart, with further ones behind.
pub fn arguments(chart: &Path, further: &[String]) -> Vec<String> {
    let fixed = ["upgrade", "--install", RELEASE, &chart.display().to_string(), "--namespace", NAMESPACE];
    let mut arguments: Vec<String> = fixed.into_iter().map(str::to_owned).collect();
    arguments.extend(["--create-namespace", "--wait", "--timeout", "3m"].map(str::to_owned));
    arguments.extend_from_slice(further);
    arguments
}

/// Installs or upgrades the chart and waits until it is ready.
///
/// # Errors
/// With Helm's own words when it fails.
pub fn chart_installed(cluster: &Cluster, further: &[String]) -> Result<()> {
    let arguments = arguments(&chart(), further);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    kube::succeed(kube::helm(cluster, &arguments)?).context("helm could not install the chart")?;
    Ok(())
}
