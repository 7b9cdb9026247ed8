//! Debian's packages as the stuff of images: which ones an interpreter needs, and their files. Nothing is installed, and
//! what is installed on this machine does not matter.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::preflight::{find, is_root};

/// Packages whose files no program in an image uses: what apt and dpkg need themselves, and terminals' libraries.
const LEFT_OUT: &[&str] = &[
    "gcc-",
    "dpkg",
    "tar_",
    "debconf",
    "debianutils",
    "perl",
    "libperl",
    "openssl_",
    "readline-common",
    "libreadline",
    "libncurses",
    "libtinfo",
    "libdb5",
    "libmd0",
    "libpcre2",
    "libselinux",
    "libacl",
    "libattr",
    "libgdbm",
    "libcom-err",
    "libkrb5",
    "libk5crypto",
    "libkeyutils",
    "libgssapi",
    "libnsl",
    "libtirpc",
    "sensible-utils",
    "libdebconf",
    "libaudit",
    "libcap-ng",
];

/// What apt finds that `names` need, all of it, as `NAME_VERSION_ARCH.deb`.
pub(super) fn closure(names: &[&str], scratch: &Path) -> Result<Vec<String>> {
    if find("apt-get").is_none() || find("dpkg-deb").is_none() {
        bail!(
            "the images of the runtimes are packed from Debian's packages, and there is no apt-get here: the Dockerfile makes \
             them with Docker"
        );
    }
    // What is in apt's own store of downloads it does not tell.
    let nothing = scratch.join("nothing");
    fs::create_dir_all(nothing.join("partial"))?;
    let nothing = format!("Dir::Cache::archives={}", nothing.display());
    let ask = || apt(names, scratch, &["-o", &nothing, "--print-uris", "-qq"]);
    let mut output = ask()?;
    if !output.status.success() && is_root() {
        // An old or empty package list is the usual reason.
        Command::new("apt-get").args(["update", "-qq"]).output().context("cannot run apt-get")?;
        output = ask()?;
    }
    let text = said(output)?;
    // 'URI' FILE SIZE HASH
    let files = text.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned);
    let mut files: Vec<String> = files.filter(|file| !LEFT_OUT.iter().any(|front| file.starts_with(front))).collect();
    files.sort();
    Ok(files)
}

/// Downloads what `names` need into `folder`, which apt may use as it likes.
pub(super) fn download(names: &[&str], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("partial"))?;
    let archives = format!("Dir::Cache::archives={}", folder.display());
    said(apt(names, folder, &["-o", &archives, "--download-only", "-qq"])?).map(drop)
}

/// The files of a package: a tar archive.
pub(super) fn files(package: &Path) -> Result<Vec<u8>> {
    let output = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).output().context("cannot run dpkg-deb")?;
    if !output.status.success() {
        bail!("dpkg-deb cannot read {}:\n{}", package.display(), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.stdout)
}

/// Asks apt for `names` on a machine on which nothing is installed.
fn apt(names: &[&str], scratch: &Path, further: &[&str]) -> Result<Output> {
    let status = empty_status(scratch)?;
    Command::new("apt-get")
        .args(["--yes", "--no-install-recommends", "-o", "Debug::NoLocking=1", "-o"])
        .arg(format!("Dir::State::status={}", status.display()))
        .args(further)
        .arg("install")
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("cannot run apt-get")
}

fn empty_status(scratch: &Path) -> Result<PathBuf> {
    fs::create_dir_all(scratch).with_context(|| format!("cannot make {}", scratch.display()))?;
    let status = scratch.join("status");
    fs::write(&status, "")?;
    Ok(status)
}

fn said(output: Output) -> Result<String> {
    if !output.status.success() {
        bail!("apt-get failed: try `apt-get update`\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}
