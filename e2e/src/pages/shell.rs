//! The terminal in which a page's commands are typed.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{cache::repository, cluster::Cluster, kube, preflight::SYSTEM_PATH};

/// Longest command, in seconds: a page may wait for an idle window of a minute to end.
const LONGEST: &str = "120";
/// Where Debian has the modules of Node's programs. A Node from elsewhere does not look there.
const NODE_MODULES: &str = "/usr/share/nodejs";

/// A folder with the repository's examples in it, and an environment. Each command has a bash of its own, so that neither
/// variables nor `cd` outlive it; files do, until the whole is dropped.
pub(super) struct Shell {
    cluster: Cluster,
    namespace: String,
    folder: TempDir,
    environment: Vec<(&'static str, OsString)>,
}

/// What became of a command.
pub(super) struct Done {
    pub(super) succeeded: bool,
    /// Standard output and error, with the namespace called `default`.
    pub(super) printed: String,
}

impl Shell {
    /// A terminal where `kubectl` is the cluster's, with `namespace` for its default, and the programs in `clients` are found.
    pub(super) fn open(cluster: &Cluster, namespace: &str, clients: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        symlink(repository().join("examples"), folder.path().join("examples"))?;
        let programs = folder.path().join(".programs");
        fs::create_dir(&programs)?;
        kube::kubectl_program(cluster, &programs, &["--namespace", namespace])?;
        // curl draws no progress where it writes to a terminal.
        fs::write(folder.path().join(".curlrc"), "no-progress-meter\n")?;

        let mut path = programs.into_os_string();
        for more in [clients.as_os_str(), &std::env::var_os("PATH").unwrap_or_default(), SYSTEM_PATH.as_ref()] {
            path.push(":");
            path.push(more);
        }
        let environment = vec![("PATH", path), ("CURL_HOME", folder.path().into()), ("NODE_PATH", NODE_MODULES.into())];
        Ok(Self { cluster: cluster.clone(), namespace: namespace.to_owned(), folder, environment })
    }

    /// Types a command, and waits for its end; ends it, as failed, after two minutes.
    ///
    /// # Errors
    /// When bash cannot be run.
    pub(super) fn run(&self, typed: &str) -> Result<Done> {
        let typed = typed.replace(".default.localhost", &format!(".{}.localhost", self.namespace));
        let mut bash = Command::new("timeout");
        bash.args([LONGEST, "bash", "-c", &format!("exec 2>&1\n{typed}")])
            .current_dir(self.folder.path())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = self.cluster.inside(|| bash.spawn())?.context("cannot run timeout")?;
        // Open like a terminal's until the command ends: interactive programs end with their input.
        let keyboard = child.stdin.take();
        let output = child.wait_with_output()?;
        drop(keyboard);
        let printed = String::from_utf8_lossy(&output.stdout).replace(&self.namespace, "default");
        Ok(Done { succeeded: output.status.success(), printed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Shell {
        Shell::open(&Cluster::Context("mine".to_owned()), "hello-1a2b3c", Path::new("/clients")).unwrap()
    }

    fn printed(typed: &str) -> String {
        shell().run(typed).unwrap().printed
    }

    #[test]
    fn a_command_is_typed_as_the_page_has_it() {
        assert_eq!(printed("echo out; echo err >&2; ls -d examples/hello-image/"), "out\nerr\nexamples/hello-image/\n");
        assert_eq!(printed("cat <<'E'\na  $b\nE"), "a  $b\n");
        assert!(printed("echo $PATH").contains("/.programs:/clients:"));
        // A terminal's input does not end.
        assert_eq!(printed("read -t 0.1; echo $(($? > 128))"), "1\n");
    }

    #[test]
    fn the_namespace_stands_in_for_default() {
        assert_eq!(printed("printf %s hello.default.localhost | wc -c"), "28\n");
        assert_eq!(printed("echo hello.default.localhost default"), "hello.default.localhost default\n");
        let kubectl = "#!/bin/sh\nexec env 'kubectl' '--context' 'mine' '--namespace' 'default' \"$@\"\n";
        assert_eq!(printed("cat .programs/kubectl"), kubectl);
    }

    #[test]
    fn a_failure_is_seen_and_files_stay() {
        let shell = shell();
        assert!(shell.run("echo kept > file").unwrap().succeeded);
        assert!(!shell.run("cat file; false").unwrap().succeeded);
        assert_eq!(shell.run("cat file").unwrap().printed, "kept\n");
    }
}
