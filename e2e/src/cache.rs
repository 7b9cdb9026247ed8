//! What outlives `target/`: built Go parts, the running node, and the lock that keeps two
//! invocations apart.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use nix::fcntl::{Flock, FlockArg};

/// The folder of everything that `cargo e2e` keeps between runs.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$ROUSE_CACHE`, else `rouse` in the user's cache folder. Made if it is not there.
    pub(crate) fn open() -> Result<Self> {
        let root = match std::env::var_os("ROUSE_CACHE") {
            Some(path) => PathBuf::from(path),
            None => user_cache()?.join("rouse"),
        };
        fs::create_dir_all(&root).with_context(|| format!("cannot make {}", root.display()))?;
        let root = root.canonicalize()?;
        Ok(Self { root })
    }

    /// The run directory of the node. It exists only while a node does.
    pub(crate) fn node(&self) -> PathBuf {
        self.root.join("node")
    }

    /// The folder of the built Go parts, one folder per content hash.
    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// Waits until no other invocation changes the cache or the node. Held until dropped.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.root.join("lock");
        let file = File::create(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(held) => return Ok(Lock { _held: held }),
            Err((file, _)) => file,
        };
        eprintln!("waiting for another `cargo e2e` to finish …");
        let held = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| anyhow!("cannot lock: {e}"))?;
        Ok(Lock { _held: held })
    }
}

/// Proof that nobody else builds parts or starts or stops the node.
#[derive(Debug)]
pub(crate) struct Lock {
    _held: Flock<File>,
}

fn user_cache() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("XDG_CACHE_HOME").filter(|path| Path::new(path).is_absolute()) {
        return Ok(PathBuf::from(path));
    }
    let home = std::env::var_os("HOME").context("HOME is not set: set ROUSE_CACHE to a folder to work in")?;
    Ok(Path::new(&home).join(".cache"))
}

/// The root of the repository that this program was built from.
pub fn repository() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}
