//! Packing: layers as an OCI image layout in a tar file.
//!
//! The format is the [OCI image specification](https://github.com/opencontainers/image-spec), with
//! Docker's `manifest.json` beside it, so that a Docker older than 25 loads the file too. Times, owners
//! and the order of JSON keys are fixed: the same binary gives the same digest on every machine.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use oci_spec::image::{
    ConfigBuilder, Descriptor, DescriptorBuilder, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder,
    MediaType, RootFsBuilder, Sha256Digest,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Image;
use crate::parts::hex;
use crate::stored;

/// The user that our containers run as: nobody in particular, and not root.
const USER: &str = "65532:65532";

/// A packed image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Archive {
    /// The tar file.
    pub path: PathBuf,
    /// The name that a pod asks for.
    pub reference: String,
    /// The digest of the image's manifest, `sha256:…`: what a runtime knows the image by.
    pub digest: String,
}

/// The file beside an archive in the cache that says what it is.
const RECORD: &str = "archive.json";

impl Archive {
    /// The archive that was [kept](Self::keep) in a folder of the cache, if one was.
    pub(super) fn kept(folder: &Path) -> Result<Option<Self>> {
        let Some(archive) = stored::load::<Self>(&folder.join(RECORD))? else { return Ok(None) };
        // The cache may have been moved or copied since it was written.
        let path = folder.join(archive.path.file_name().context("an archive without a name")?);
        Ok(Some(Self { path, ..archive }))
    }

    /// Says in the folder that it is whole.
    pub(super) fn keep(&self, folder: &Path) -> Result<()> {
        stored::save(&folder.join(RECORD), self)
    }
}

/// Packs `binary`, the program of `image`, into `folder`.
pub(super) fn pack(image: &Image, binary: &Path, folder: &Path) -> Result<Archive> {
    let program = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    pack_layers(image, &[program_layer(image, &program)?], folder)
}

/// Packs `image` into `folder`: its layers, from the lowest, are tar files.
pub(super) fn pack_layers(image: &Image, layers: &[Vec<u8>], folder: &Path) -> Result<Archive> {
    let (bytes, digest) = layout(image, layers)?;
    let path = folder.join(format!("{}.tar", image.name));
    // Whoever loads the archive meanwhile sees the old one or the new one.
    // Of this process alone: two builds at once must not move each other's file away.
    let partial = path.with_extension(format!("{}.partial", std::process::id()));
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, &path)?;
    Ok(Archive { path, reference: image.reference.clone(), digest })
}

/// The layer of an image that is one program.
fn program_layer(image: &Image, program: &[u8]) -> Result<Vec<u8>> {
    let name = image.package().with_context(|| format!("{} has no program", image.name))?;
    tar(&[(name.to_owned(), program, 0o755)])
}

/// The archive's bytes and the manifest's digest.
fn layout(image: &Image, layers: &[Vec<u8>]) -> Result<(Vec<u8>, String)> {
    let layers: Vec<Blob> =
        layers.iter().map(|layer| Blob::new(MediaType::ImageLayer, layer.clone())).collect::<Result<_>>()?;
    let config = Blob::json(MediaType::ImageConfig, &configuration(image, &layers)?)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageManifest)
        .config(config.descriptor.clone())
        .layers(layers.iter().map(|layer| layer.descriptor.clone()).collect::<Vec<_>>())
        .build()?;
    let manifest = Blob::json(MediaType::ImageManifest, &manifest)?;
    let index = canonical(&index(image, &manifest)?)?;
    let docker = canonical(&json!([{
        "Config": config.path(),
        "RepoTags": [image.reference],
        "Layers": layers.iter().map(Blob::path).collect::<Vec<_>>(),
    }]))?;

    let mut entries: Vec<(String, &[u8], u32)> = vec![
        ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644),
        ("index.json".into(), &index, 0o644),
        ("manifest.json".into(), &docker, 0o644),
    ];
    for blob in layers.iter().chain([&config, &manifest]) {
        entries.push((blob.path(), &blob.bytes, 0o644));
    }
    Ok((tar(&entries)?, manifest.descriptor.digest().to_string()))
}

fn configuration(image: &Image, layers: &[Blob]) -> Result<oci_spec::image::ImageConfiguration> {
    let label = |name: &str, value: &str| (format!("org.opencontainers.image.{name}"), value.to_owned());
    let labels = HashMap::from([
        label("title", image.package().unwrap_or(image.name)),
        label("description", image.description),
        label("version", env!("CARGO_PKG_VERSION")),
        label("source", env!("CARGO_PKG_REPOSITORY")),
        label("licenses", env!("CARGO_PKG_LICENSE")),
    ]);
    let run = ConfigBuilder::default()
        .user(USER)
        .entrypoint(image.command())
        .env(image.environment.clone())
        .working_dir("/")
        .labels(labels)
        .build()?;
    let root = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(layers.iter().map(|layer| layer.descriptor.digest().to_string()).collect::<Vec<_>>())
        .build()?;
    Ok(ImageConfigurationBuilder::default().architecture("amd64").os("linux").config(run).rootfs(root).build()?)
}

/// The annotations are where containerd and OCI tools read the image's name.
fn index(image: &Image, manifest: &Blob) -> Result<oci_spec::image::ImageIndex> {
    let tag = image.reference.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let mut descriptor = manifest.descriptor.clone();
    descriptor.set_annotations(Some(HashMap::from([
        ("io.containerd.image.name".to_owned(), image.reference.clone()),
        ("org.opencontainers.image.ref.name".to_owned(), tag.to_owned()),
    ])));
    let index = ImageIndexBuilder::default()
        .schema_version(2u32)
        .media_type(MediaType::ImageIndex)
        .manifests([descriptor])
        .build()?;
    Ok(index)
}

/// Content that is stored under its own digest.
struct Blob {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: MediaType, bytes: Vec<u8>) -> Result<Self> {
        let digest: Sha256Digest = hex(&Sha256::digest(&bytes)).parse()?;
        let descriptor =
            DescriptorBuilder::default().media_type(media_type).size(bytes.len() as u64).digest(digest).build()?;
        Ok(Self { descriptor, bytes })
    }

    fn json(media_type: MediaType, value: &impl Serialize) -> Result<Self> {
        Self::new(media_type, canonical(value)?)
    }

    fn path(&self) -> String {
        format!("blobs/sha256/{}", self.descriptor.digest().digest())
    }
}

/// JSON with sorted keys: oci-spec keeps labels in hash maps, whose order changes from run to run.
fn canonical(value: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&sorted(serde_json::to_value(value)?))?)
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let map: BTreeMap<String, Value> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            map.into_iter().collect()
        }
        Value::Array(list) => list.into_iter().map(sorted).collect(),
        plain => plain,
    }
}

/// A tar file of root's files from the beginning of time.
fn tar(entries: &[(String, &[u8], u32)]) -> Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content, mode) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        builder.append_data(&mut header, name, *content)?;
    }
    Ok(builder.into_inner()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_gives_the_same_bytes() {
        let image = Image::pause();
        let of = |program: &[u8]| layout(&image, &[program_layer(&image, program).unwrap()]).unwrap();
        let first = of(b"program");
        for _ in 0..8 {
            assert_eq!(first, of(b"program"));
        }
        assert_ne!(first.1, of(b"another").1);
    }

    #[test]
    fn every_blob_is_named_by_its_digest() {
        let image = Image::pause();
        let (bytes, digest) = layout(&image, &[program_layer(&image, b"program").unwrap()]).unwrap();
        let mut blobs = 0;
        for entry in tar::Archive::new(bytes.as_slice()).entries().unwrap() {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().to_string_lossy().into_owned();
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
            if let Some(named) = name.strip_prefix("blobs/sha256/") {
                assert_eq!(named, hex(&Sha256::digest(&content)));
                blobs += 1;
            }
            if name == "index.json" {
                let index: Value = serde_json::from_slice(&content).unwrap();
                assert_eq!(index["manifests"][0]["digest"], digest);
                assert_eq!(index["manifests"][0]["annotations"]["io.containerd.image.name"], "rouse.local/pause:1");
            }
        }
        assert_eq!(blobs, 3);
    }
}
