//! Pages of Markdown, done as their readers do them: each command is typed, and what it prints is compared with what the page
//! shows.
//!
//! Such a command stands in a block of ` ```console `, behind `$ `. Lines behind `> ` right below belong to it, as bash shows
//! them. A file that the reader saves is a block of ` ```yaml file=NAME `. The rest, up to the next command, is what it prints: see [`shown`]. It must succeed.

mod console;
mod shell;
mod shown;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    cache::{Cache, repository},
    parts,
    port_forward::PortForward,
    preflight,
    scene::{PATIENCE, Scene, scene},
    steps::Steps,
};
use console::Command;
use shell::Shell;

/// What the reader of a page leaves running in another terminal.
const FORWARD: &str = "kubectl --namespace rouse-system port-forward service/rouse-activator 8080:80";
const PORT: u16 = 8080;

/// Commands that only look: what they show may take a moment to come about.
const LOOKS: [&str; 4] = ["kubectl get ", "kubectl logs ", "kubectl describe ", "kubectl wait "];

/// A test: does all that the page at `page`, a path within the repository, says, in a namespace that is named after `name`.
///
/// The namespace is kubectl's default one, stands in for `default` in hosts (`NAME.default.localhost`), and is called `default`
/// in what is printed. If the page has its readers forward the activator's port, that is done. Commands of [`LOOKS`] are
/// repeated for up to two minutes until they print what is shown; all others run once.
///
/// # Panics
/// As [`scene`].
pub fn follow(name: &str, page: &str) {
    let _turn = turn();
    let clients = clients(&Steps::new());
    scene(name, async |scene| read(&scene, &clients?, page).await);
}

/// All pages forward the same port: whoever does so in a test takes a turn.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Installs and builds what commands of pages call that no node has. Gives the folder of what was built.
///
/// # Errors
/// When a package is missing and cannot be installed, or something cannot be built.
pub(crate) fn clients(steps: &Steps) -> Result<PathBuf> {
    preflight::pages(steps)?;
    let cache = Cache::open()?;
    let _lock = cache.lock()?;
    parts::grpcurl(&cache, steps)
}

async fn read(scene: &Scene, clients: &Path, page: &str) -> Result<()> {
    let text = fs::read_to_string(repository().join(page)).with_context(|| page.to_owned())?;
    let commands = console::commands(&text).with_context(|| page.to_owned())?;
    ensure!(!commands.is_empty(), "{page} has no commands");
    let _forward = text.contains(FORWARD).then(|| PortForward::open(&scene.cluster, Some(PORT))).transpose()?;
    let shell = Shell::open(&scene.cluster, &scene.namespace, clients)?;
    for command in commands {
        follow_one(&shell, &command).await.with_context(|| format!("{page}, line {}", command.line))?;
    }
    Ok(())
}

async fn follow_one(shell: &Shell, Command { typed, shown, .. }: &Command) -> Result<()> {
    let looks = LOOKS.iter().any(|look| typed.starts_with(look));
    let deadline = Instant::now() + PATIENCE * 2;
    loop {
        let done = shell.run(typed)?;
        if done.succeeded && shown::is(shown, &done.printed) {
            return Ok(());
        }
        let (printed, shown) = (done.printed.trim_end(), shown.join("\n"));
        let how = if done.succeeded { "" } else { "failed and " };
        ensure!(looks && Instant::now() < deadline, "$ {typed}\n{how}printed:\n{printed}\nThe page shows:\n{shown}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Cluster;

    #[tokio::test]
    async fn a_command_must_succeed_and_print_what_is_shown() {
        let shell = Shell::open(&Cluster::Context("mine".to_owned()), "namespace", Path::new("/")).unwrap();
        for (typed, shown, well) in
            [("echo 1", "1", true), ("echo 1", "2", false), ("echo 1; false", "1", false), ("true", "", true)]
        {
            let command =
                Command { line: 1, typed: typed.to_owned(), shown: shown.lines().map(str::to_owned).collect() };
            let seen = follow_one(&shell, &command).await;
            assert_eq!(seen.is_ok(), well, "{typed}: {seen:?}");
        }
    }
}
