//! Images of the runtimes: a stock interpreter of Debian's and our small server.
//!
//! Packing one takes a minute, so it is kept in the cache under a name that follows from the packages' versions, our
//! sources, and the code of [`RECIPE`].

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

use super::{
    Archive, Image, archive,
    catalog::{Ahead, Interpreter},
    debian, framework,
    rootfs::Rootfs,
};
use crate::{
    cache::{Cache, repository},
    parts::digest,
    preflight::{SYSTEM_PATH, is_root},
    steps::Steps,
};

/// The folder whose code makes these images: another recipe is another image.
const RECIPE: &str = "e2e/src/images";
/// Where programs look for certificates of the public authorities.
const CERTIFICATES: &str = "etc/ssl/certs/ca-certificates.crt";
/// The user that our containers run as, for programs that ask for its name.
const USERS: &str = "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n";
/// Its group.
const GROUPS: &str = "root:x:0:\nnonroot:x:65532:\n";
/// Where Node finds the snapshots of its start, each under the options that it was made with.
const SNAPSHOTS: &str = "/rouse/snapshots";
/// The heaps, in MiB, of functions that have 128, 256, 512 and 1024 MiB of memory, and the chart's default for `runtimes.node`.
const HEAPS: [u32; 4] = [64, 128, 256, 768];

/// Packs the image of an interpreter, or takes it from the cache.
pub(super) fn pack(image: &Image, interpreter: &Interpreter, steps: &Steps) -> Result<Archive> {
    let cache = Cache::open()?;
    let source = repository().join(interpreter.source);
    let scratch = cache.parts().join(format!("{}-packages", image.name));
    let packages = debian::closure(interpreter.packages, &scratch)?;
    let mut words = vec![digest::of(&repository().join(RECIPE), &[])?, image.reference.clone()];
    words.extend(interpreter.command.iter().map(|word| (*word).to_owned()));
    words.extend(packages.clone());
    if matches!(interpreter.ahead, Ahead::Snapshots) {
        words.push(processor()?);
    }
    if let Some(framework) = interpreter.framework {
        words.push(digest::of(&repository().join(framework.source), &[])?);
    }
    let folder = cache.parts().join(format!("{}-{}", image.name, digest::of(&source, &words)?));
    if let Some(archive) = Archive::kept(&folder)? {
        return Ok(archive);
    }
    let step = steps.begin(format!("image of {}", interpreter.name));
    step.long("Debian's packages");
    debian::download(interpreter.packages, &scratch)?;
    let mut system = Rootfs::merged();
    for package in &packages {
        let files = debian::files(&scratch.join(package)).with_context(|| format!("{package} is not there"))?;
        system.add_tar(&files, |path| is_of_use(path) && !(interpreter.leaves_out)(path))?;
    }
    system.add("etc/passwd", USERS);
    system.add("etc/group", GROUPS);
    let authorities = system.take(|path| path.starts_with("usr/share/ca-certificates/"));
    ensure!(!authorities.is_empty(), "there are no certificates of authorities in Debian's packages");
    system.add(CERTIFICATES, authorities.concat());
    let mut server = Rootfs::default();
    server.add_folder(&format!("rouse/{}", interpreter.name), &source, |path| {
        let of_development = ["/tests/", "/conformance/", "/__pycache__/"];
        let hidden = path.rsplit('/').next().is_some_and(|name| name.starts_with('.'));
        !hidden
            && !of_development.iter().any(|part| path.contains(part))
            && !path.ends_with(".md")
            && !path.ends_with(".toml")
    })?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut beside = Rootfs::default();
    if let Some(framework) = interpreter.framework {
        step.at("the framework's packages".to_owned());
        let python = system.path(is_python).map(|path| path.trim_start_matches("usr/bin/python").to_owned());
        beside = framework::layer(&framework, python.as_deref(), tempfile::tempdir_in(&folder)?.path())?;
    }
    step.at("what is made ahead".to_owned());
    let root = tempfile::tempdir_in(&folder)?;
    for files in [&system, &server, &beside] {
        files.write(root.path())?;
    }
    match interpreter.ahead {
        Ahead::Bytecode => {
            bytecode(&mut system, &mut [("rouse", &mut server), (framework::FOLDER, &mut beside)], root.path())?
        }
        Ahead::Snapshots => snapshots(&mut server, root.path())?,
    }
    step.at("archive".to_owned());
    let mut layers = vec![system.tar()?, server.tar()?];
    if interpreter.framework.is_some() {
        layers.push(beside.tar()?);
    }
    let archive = archive::pack_layers(image, &layers, &folder)?;
    archive.keep(&folder)?;
    // They are in the image now.
    fs::remove_dir_all(&scratch)?;
    step.done("");
    Ok(archive)
}

/// What this machine's processor can do: V8 takes a snapshot only where it is the same as where the snapshot was made.
fn processor() -> Result<String> {
    let all = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    Ok(all.lines().find(|line| line.starts_with("flags")).unwrap_or_default().to_owned())
}

/// What a program may read. Licences stay with what they are of.
fn is_of_use(path: &str) -> bool {
    if path.starts_with("usr/share/doc/") {
        return path.ends_with("/copyright");
    }
    let wanted = [
        "etc/mime.types",
        "usr/bin/",
        "usr/lib/",
        "usr/lib64/",
        "usr/share/ca-certificates/",
        "usr/share/nodejs/",
        "usr/share/zoneinfo/",
    ];
    let unwanted = [
        "usr/lib/x86_64-linux-gnu/gconv/",
        "usr/lib/x86_64-linux-gnu/audit/",
        "usr/share/zoneinfo/right/",
        "usr/share/zoneinfo/posix/",
    ];
    wanted.iter().any(|front| path.starts_with(front)) && !unwanted.iter().any(|front| path.starts_with(front))
}

/// Compiles Python's own library and what is in the folders of `others`, by the very interpreter of the image, which lies below
/// `root`. The bytecode is not checked against the source when it is read: neither can change in an image (PEP 552).
fn bytecode(system: &mut Rootfs, others: &mut [(&str, &mut Rootfs)], root: &Path) -> Result<()> {
    let python = system.path(is_python).context("there is no Python in Debian's packages")?.to_owned();
    let library = python.replace("usr/bin/", "usr/lib/");
    let libraries = root.join("usr/lib/x86_64-linux-gnu");
    let folders = others.iter().map(|(folder, _)| root.join(folder)).filter(|folder| folder.is_dir());
    let output = Command::new(root.join("lib64/ld-linux-x86-64.so.2"))
        .arg("--library-path")
        .arg(&libraries)
        .arg(root.join(&python))
        .args([
            "-S",
            "-s",
            "-B",
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            "--invalidation-mode",
            "unchecked-hash",
            "-p",
            "/",
            "-s",
        ])
        .arg(root)
        .arg(root.join(&library))
        .args(folders)
        .env_clear()
        .env("PYTHONHOME", root.join("usr"))
        // Sets are written in the order of their hashes.
        .env("PYTHONHASHSEED", "0")
        .output()
        .context("cannot run the image's Python")?;
    if !output.status.success() {
        bail!("Python's library cannot be compiled:\n{}", String::from_utf8_lossy(&output.stdout).trim_end());
    }
    let is_bytecode = |path: &str| path.ends_with(".pyc");
    system.add_folder(&library, &root.join(&library), is_bytecode)?;
    for (folder, files) in others.iter_mut().filter(|(folder, _)| root.join(folder).is_dir()) {
        files.add_folder(folder, &root.join(folder), is_bytecode)?;
    }
    system.link("usr/bin/python3", python.trim_start_matches("usr/bin/"));
    Ok(())
}

/// Makes snapshots of a start, by the very Node of the image, at the place where they will be: their paths are in them. Each is
/// good for one set of options only.
fn snapshots(server: &mut Rootfs, root: &Path) -> Result<()> {
    snapshot(server, root, "none", None)?;
    for heap in HEAPS {
        let options = heap_option(heap);
        snapshot(server, root, &options, Some(&options))?;
    }
    Ok(())
}

fn heap_option(mib: u32) -> String {
    format!("--max-old-space-size={mib}")
}

fn snapshot(server: &mut Rootfs, root: &Path, name: &str, options: Option<&str>) -> Result<()> {
    let path = format!("{SNAPSHOTS}/{name}");
    fs::create_dir_all(root.join(SNAPSHOTS.trim_start_matches('/')))?;
    // Whoever is not root becomes it in a namespace of its own: changing the root is root's.
    let mut command = if is_root() { Command::new("chroot") } else { Command::new("unshare") };
    if !is_root() {
        command.args(["--map-root-user", "chroot"]);
    }
    let output = command
        .arg(root)
        .args(["/usr/bin/node", "--snapshot-blob", &path, "--build-snapshot", "/rouse/node/snapshot.js"])
        .env_clear()
        .env("PATH", SYSTEM_PATH)
        .envs(options.map(|options| ("NODE_OPTIONS", options)))
        .output()
        .context("cannot run the image's Node")?;
    if !output.status.success() {
        bail!("Node's start cannot be kept:\n{}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let path = path.trim_start_matches('/');
    server.add(path, fs::read(root.join(path))?);
    Ok(())
}

/// Whether that is the interpreter: `usr/bin/python3.11`.
fn is_python(path: &str) -> bool {
    path.strip_prefix("usr/bin/python3.").is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise no function would start from a snapshot.
    #[test]
    fn the_chart_asks_for_heaps_as_the_snapshots_are_named() {
        let values = fs::read_to_string(repository().join("charts/rouse/values.yaml")).unwrap();
        assert!(values.contains(&heap_option(0).replace('0', "$(ROUSE_HEAP_MIB)")), "{}", heap_option(0));
    }
}
