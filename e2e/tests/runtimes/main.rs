//! The tests that the servers of the runtimes bring themselves, in their own languages. What they do in a pod is in the tests on
//! the node.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use e2e::{preflight, repository, steps::Steps};

/// Runs a runtime's own tests with a program of the system.
fn pass(runtime: &str, program: &str, arguments: &[&str]) -> Result<()> {
    preflight::runtimes(&Steps::new())?;
    let program = preflight::find(program).context("it is not where the system has its programs")?;
    let folder = repository().join("runtimes").join(runtime);
    let output =
        Command::new(program).args(arguments).current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").output()?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Of what passes only the count is worth reading.
    let told: Vec<&str> = said.lines().filter(|line| line.starts_with("Ran ") || line.contains("tests ")).collect();
    println!("{runtime}: {}", told.join(" "));
    ensure!(output.status.success(), "{said}");
    Ok(())
}

#[test]
fn python() -> Result<()> {
    pass("python", "python3", &["-m", "unittest", "discover"])
}

#[test]
fn node() -> Result<()> {
    pass("node", "node", &["--test"])
}
