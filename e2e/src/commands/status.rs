//! `cargo e2e status`.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::node::{Child, Node};

/// Show the node and each of its components.
///
/// Exits with 0 if all of them run, 1 if one has ended, and 3 if no node is up.
#[derive(Debug, Args)]
pub(super) struct Status {}

impl Status {
    pub(super) fn run(self) -> Result<ExitCode> {
        let Some(node) = Node::find()? else {
            print("No node is up.\n")?;
            return Ok(ExitCode::from(3));
        };
        let components = node.components()?;
        print(&table(&node, &components))?;
        let all_run = components.iter().all(|child| child.ended.is_none());
        Ok(if all_run { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn table(node: &Node, components: &[Child]) -> String {
    let mut lines = vec![format!("{:<20}{:<8}{:<28}LOG", "COMPONENT", "PID", "STATE")];
    for child in components {
        let name = child.component.name();
        lines.push(format!("{name:<20}{:<8}{:<28}{}", child.pid, state(child), node.paths().log(name).display()));
    }
    lines.push(format!("\nfirst process  {0} (nsenter -t {0} -n -m -p -u …)", node.pid()));
    lines.push(format!("kubeconfig     {}", node.paths().kubeconfig("admin").display()));
    lines.push(format!("audit log      {}\n", node.paths().audit_log().display()));
    lines.join("\n")
}

/// A reader that has seen enough, as `head` has, is no error.
fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn state(child: &Child) -> String {
    match &child.ended {
        None => "running".to_owned(),
        Some(ended) => format!("ended: {}", ended.how),
    }
}
