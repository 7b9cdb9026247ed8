//! The name of a built part in the cache: a hash of everything that decides its bytes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// The first 16 hexadecimal digits of SHA-256 over `words` (the compiler's version, flags) and over
/// the name and content of every file below `folder`.
pub(crate) fn of(folder: &Path, words: &[String]) -> Result<String> {
    let mut hash = Sha256::new();
    for word in words {
        field(&mut hash, word.as_bytes());
    }
    for path in files(folder)? {
        let name = path.strip_prefix(folder).unwrap_or(&path);
        field(&mut hash, name.as_os_str().as_encoded_bytes());
        field(&mut hash, &fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(hex(&hash.finalize())[..16].to_owned())
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// With its length before it, so that no two lists of fields give the same bytes.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// All files below `folder`, in one order everywhere.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_content_and_words_all_count() {
        let folder = tempfile::tempdir().unwrap();
        let name = |words: &[&str]| of(folder.path(), &words.iter().map(|word| word.to_string()).collect::<Vec<_>>());
        fs::write(folder.path().join("a"), "bc").unwrap();
        let first = name(&["w"]).unwrap();
        assert_eq!(first.len(), 16);
        assert_eq!(first, name(&["w"]).unwrap());
        assert_ne!(first, name(&["v"]).unwrap());
        fs::rename(folder.path().join("a"), folder.path().join("ab")).unwrap();
        fs::write(folder.path().join("ab"), "c").unwrap();
        assert_ne!(first, name(&["w"]).unwrap());
    }
}
