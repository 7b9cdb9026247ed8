//! The files of an image's layer.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// Folders that are one with that of the same name below `usr`, as on every Debian of today; its packages still name both.
const MERGED: &[&str] = &["bin", "lib", "lib64", "sbin"];

/// A file of a layer. All are root's.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { mode: u32, content: Vec<u8> },
    Link(String),
}

/// Files by their paths, which begin with no slash.
#[derive(Clone, Debug, Default)]
pub(super) struct Rootfs {
    entries: BTreeMap<String, Entry>,
}

impl Rootfs {
    /// With the links that programs of today's Debian expect.
    pub(super) fn merged() -> Self {
        let links = MERGED.iter().map(|name| ((*name).to_owned(), Entry::Link(format!("usr/{name}"))));
        Self { entries: links.collect() }
    }

    /// Adds the files of a tar archive whose paths `keep` likes.
    pub(super) fn add_tar(&mut self, archive: &[u8], keep: impl Fn(&str) -> bool) -> Result<()> {
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.to_string_lossy().trim_start_matches("./").trim_end_matches('/').to_owned();
            let path = merged(&path);
            if !keep(&path) {
                continue;
            }
            let kind = entry.header().entry_type();
            let target = entry.link_name()?.map(|target| target.to_string_lossy().into_owned());
            let made = match (kind, target) {
                (tar::EntryType::Symlink, Some(target)) => Entry::Link(target),
                (tar::EntryType::Link, Some(target)) => {
                    let target = merged(target.trim_start_matches("./"));
                    self.entries
                        .get(&target)
                        .with_context(|| format!("{path} is a link to {target}, which is not there"))?
                        .clone()
                }
                (tar::EntryType::Regular, _) => {
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content)?;
                    Entry::File { mode: entry.header().mode()? & 0o755, content }
                }
                // Folders are made where something is in them.
                _ => continue,
            };
            self.entries.insert(path, made);
        }
        Ok(())
    }

    /// Adds a file.
    pub(super) fn add(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        self.entries.insert(path.to_owned(), Entry::File { mode: 0o644, content: content.into() });
    }

    /// Adds a symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.entries.insert(path.to_owned(), Entry::Link(target.to_owned()));
    }

    /// Adds the files below a folder of this machine, under `path`, whose paths `keep` likes. Programs stay programs.
    pub(super) fn add_folder(&mut self, path: &str, folder: &Path, keep: impl Fn(&str) -> bool + Copy) -> Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let below = format!("{path}/{name}");
            if entry.path().is_dir() {
                self.add_folder(&below, &entry.path(), keep)?;
            } else if keep(&below) {
                let content = fs::read(entry.path())?;
                let mode = if entry.path().metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
                self.entries.insert(below, Entry::File { mode, content });
            }
        }
        Ok(())
    }

    /// Takes out the files whose paths `which` names, and gives their contents in the order of the paths.
    pub(super) fn take(&mut self, which: impl Fn(&str) -> bool) -> Vec<Vec<u8>> {
        let taken: Vec<String> = self.entries.keys().filter(|path| which(path)).cloned().collect();
        let taken = taken.iter().filter_map(|path| self.entries.remove(path));
        taken.filter_map(|entry| if let Entry::File { content, .. } = entry { Some(content) } else { None }).collect()
    }

    /// The first path, in order, that `which` names.
    pub(super) fn path(&self, which: impl Fn(&str) -> bool) -> Option<&str> {
        self.entries.keys().map(String::as_str).find(|path| which(path))
    }

    /// Writes all of it below a folder.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        for (path, entry) in &self.entries {
            let at = folder.join(path);
            fs::create_dir_all(at.parent().unwrap_or(folder))?;
            match entry {
                // An absolute one would lead to this machine's own files.
                Entry::Link(target) => match target.strip_prefix('/') {
                    Some(target) => symlink(upwards(path).join(merged(target)), &at)?,
                    None => symlink(target, &at)?,
                },
                Entry::File { mode, content } => {
                    fs::write(&at, content)?;
                    fs::set_permissions(&at, fs::Permissions::from_mode(*mode))?;
                }
            }
        }
        Ok(())
    }

    /// As a tar file: the same files give the same bytes.
    pub(super) fn tar(&self) -> Result<Vec<u8>> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = tar::Header::new_gnu();
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            match entry {
                Entry::File { mode, content } => {
                    header.set_entry_type(tar::EntryType::Regular);
                    header.set_mode(*mode);
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice())?;
                }
                Entry::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    header.set_mode(0o777);
                    header.set_size(0);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        Ok(builder.into_inner()?)
    }
}

/// The path of a file where folders are merged.
fn merged(path: &str) -> String {
    let first = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&first) && path.len() > first.len() { format!("usr/{path}") } else { path.to_owned() }
}

/// From the folder of `path` to the root.
fn upwards(path: &str) -> PathBuf {
    path.split('/').skip(1).map(|_| "..").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_can_be_read_again() {
        let mut files = Rootfs::merged();
        files.add("usr/lib/a", "one");
        files.link("usr/lib/b", "/lib/a");
        let mut again = Rootfs::default();
        again.add_tar(&files.tar().unwrap(), |_| true).unwrap();
        assert_eq!(again.entries, files.entries);
        assert_eq!(files.tar().unwrap(), again.tar().unwrap());
        let folder = tempfile::tempdir().unwrap();
        files.write(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("lib/b")).unwrap(), "one");
    }

    #[test]
    fn programs_of_a_folder_stay_programs() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("program"), "one").unwrap();
        fs::set_permissions(folder.path().join("program"), fs::Permissions::from_mode(0o744)).unwrap();
        fs::write(folder.path().join("text"), "two").unwrap();
        let mut files = Rootfs::default();
        files.add_folder("a", folder.path(), |_| true).unwrap();
        let file = |mode, content: &str| Entry::File { mode, content: content.into() };
        let wanted = [("a/program", file(0o755, "one")), ("a/text", file(0o644, "two"))];
        assert_eq!(files.entries, wanted.map(|(path, entry)| (path.to_owned(), entry)).into());
    }

    #[test]
    fn both_spellings_of_a_folder_are_one() {
        let mut files = Rootfs::default();
        files.add("lib/x/a", "one");
        let mut merged = Rootfs::merged();
        merged.add_tar(&files.tar().unwrap(), |path| path == "usr/lib/x/a").unwrap();
        assert_eq!(merged.take(|path| path == "usr/lib/x/a"), [b"one"]);
        assert_eq!(merged.path(|path| path.starts_with("usr")), None);
    }
}
