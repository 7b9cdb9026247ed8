//! The command line: one file for each subcommand.

mod bench;
mod curl;
mod demo;
mod down;
mod helm;
mod images;
mod install;
mod kubectl;
mod logs;
mod plot;
mod ready;
mod soak;
mod status;
mod test;
mod up;

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::node;

/// A real Kubernetes node on this machine, and Rouse on it.
///
/// The node runs in namespaces of its own: etcd, API server, controllers, scheduler, kubelet,
/// containerd, kube-proxy and CoreDNS, built from source once and cached in ~/.cache/rouse. Nothing of
/// it is reachable from outside; `cargo e2e kubectl` and `cargo e2e helm` work inside.
#[derive(Debug, Parser)]
#[command(
    name = "cargo e2e",
    bin_name = "cargo e2e",
    after_help = "A first round:\n  cargo e2e demo                 what Rouse does, on a real node\n  cargo e2e test                 every test\n  cargo e2e kubectl get rfn -A   look around\n  cargo e2e down                 leave nothing behind"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    Demo(demo::Demo),
    Test(test::Test),
    Bench(bench::Bench),
    Soak(soak::Soak),
    Plot(plot::Plot),
    Install(install::Install),
    Up(up::Up),
    Down(down::Down),
    Status(status::Status),
    Images(images::Images),
    Kubectl(kubectl::Kubectl),
    Helm(helm::Helm),
    Curl(curl::Curl),
    Logs(logs::Logs),
    /// The node's own processes.
    #[command(name = node::INIT_COMMAND, hide = true, subcommand)]
    NodeInit(NodeInit),
    /// The attacker of `cargo e2e soak floods`.
    #[command(name = crate::soak::floods::COMMAND, hide = true)]
    Attacker(crate::soak::floods::Attacker),
}

#[derive(Debug, Subcommand)]
enum NodeInit {
    Outside { root: PathBuf },
    Inside { root: PathBuf },
}

impl Cli {
    /// Carries the command out. The exit code is the command's own where it stands for another program.
    pub fn run(self) -> Result<ExitCode> {
        let done = match self.command {
            Subcommands::Demo(demo) => demo.run(),
            Subcommands::Test(test) => return test.run(),
            Subcommands::Bench(bench) => bench.run(),
            Subcommands::Soak(soak) => return soak.run(),
            Subcommands::Plot(plot) => plot.run(),
            Subcommands::Install(install) => install.run(),
            Subcommands::Up(up) => up.run(),
            Subcommands::Down(down) => down.run(),
            Subcommands::Status(status) => return status.run(),
            Subcommands::Images(images) => images.run(),
            Subcommands::Kubectl(kubectl) => kubectl.run(),
            Subcommands::Helm(helm) => helm.run(),
            Subcommands::Curl(curl) => curl.run(),
            Subcommands::Logs(logs) => logs.run(),
            Subcommands::Attacker(attacker) => attacker.run(),
            Subcommands::NodeInit(NodeInit::Outside { root }) => node::init_outside(&root),
            Subcommands::NodeInit(NodeInit::Inside { root }) => node::init_inside(&root),
        };
        done.map(|()| ExitCode::SUCCESS)
    }
}

/// Becomes `command`: its input, output, signals and exit code are this process'. Returns on failure only.
fn become_program(command: &mut Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {command:?}"))
}
