//! Values kept in JSON files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Writes `value` as JSON so that a reader sees the old file or the new one, never half of either.
pub(crate) fn save(path: &Path, value: &impl Serialize) -> Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, serde_json::to_vec_pretty(value)?)
        .with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, path)?;
    Ok(())
}

/// Reads what [`save`] wrote; `None` when there is no such file.
pub(crate) fn load<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => {
            let value = serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))?;
            Ok(Some(value))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load::<u8>(&folder.path().join("none")).unwrap(), None);
        save(&folder.path().join("some"), &7u8).unwrap();
        assert_eq!(load::<u8>(&folder.path().join("some")).unwrap(), Some(7));
    }
}
