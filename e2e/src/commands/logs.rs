//! `cargo e2e logs`.

use std::process::Command;

use anyhow::{Result, bail};
use clap::Args;

use super::become_program;
use crate::node::{Component, Node};

/// Print what a component of the node wrote.
#[derive(Debug, Args)]
pub(super) struct Logs {
    /// The component.
    component: Component,
    /// Keep printing what is added.
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<u32>,
}

impl Logs {
    pub(super) fn run(self) -> Result<()> {
        let path = Node::log(self.component)?;
        if !path.exists() {
            bail!("{} has not been started: there is no {}", self.component.name(), path.display());
        }
        let mut tail = Command::new("tail");
        match self.tail {
            Some(lines) => tail.arg(format!("--lines={lines}")),
            None => tail.arg("--lines=+1"),
        };
        if self.follow {
            tail.arg("--follow");
        }
        become_program(tail.arg(path))
    }
}
