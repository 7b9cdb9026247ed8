//! The Go toolchain, which builds Kubernetes, containerd, CoreDNS, Helm, h2spec and grpcurl.

use std::process::Command;

use anyhow::{Context, Result, bail};

const OLDEST: (u32, u32) = (1, 26);

/// Fails unless Go 1.26 or newer answers.
pub(super) fn require() -> Result<()> {
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .output()
        .context("Go 1.26 or newer is needed, and `go` is not in PATH: see https://go.dev/doc/install")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if parse(&version).is_none_or(|found| found < OLDEST) {
        bail!("Go 1.26 or newer is needed, found {version:?}: see https://go.dev/doc/install");
    }
    Ok(())
}

/// `go1.26.8` → (1, 26). A development version has no such form and counts as newer.
fn parse(version: &str) -> Option<(u32, u32)> {
    if version.starts_with("devel") {
        return Some((u32::MAX, 0));
    }
    let mut numbers = version.strip_prefix("go")?.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(parse("go1.26.8"), Some((1, 26)));
        assert_eq!(parse("go1.9rc1"), Some((1, 9)));
        assert!(parse("go1.9").is_some_and(|found| found < OLDEST));
        assert!(parse("devel go1.28-abc").is_some_and(|found| found > OLDEST));
        assert_eq!(parse("unknown"), None);
    }
}
