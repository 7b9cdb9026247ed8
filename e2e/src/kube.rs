//! Talking to a cluster: a client for Rust, and kubectl and helm as a user types them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use ::kube::api::{Api, PostParams};
use ::kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use ::kube::{Client, Config};
use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::{authentication::v1::TokenRequest, core::v1::ServiceAccount};

use crate::cluster::Cluster;

/// A client with every right. For the node it must be used inside its network: [`Cluster::runtime`].
pub async fn client(cluster: &Cluster) -> Result<Client> {
    Ok(Client::try_from(config(cluster).await?)?)
}

/// A client with the rights of a ServiceAccount and no others, by a token of its own.
pub async fn client_as(cluster: &Cluster, namespace: &str, account: &str) -> Result<Client> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client(cluster).await?, namespace);
    let issued = accounts.create_token_request(account, &PostParams::default(), &TokenRequest::default()).await?;
    let token = issued.status.context("no token was issued")?.token;
    let mut config = config(cluster).await?;
    config.auth_info = AuthInfo { token: Some(token.into()), ..AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

async fn config(cluster: &Cluster) -> Result<Config> {
    let (file, options) = match cluster {
        Cluster::Node(node) => (Kubeconfig::read_from(node.paths().kubeconfig("admin"))?, KubeConfigOptions::default()),
        Cluster::Context(name) => {
            (Kubeconfig::read()?, KubeConfigOptions { context: Some(name.clone()), ..Default::default() })
        }
    };
    Ok(Config::from_custom_kubeconfig(file, &options).await?)
}

/// Runs kubectl with `input` on its standard input. A non-zero exit is an ordinary outcome: see the
/// output's status, or use [`succeed`].
pub fn kubectl(cluster: &Cluster, arguments: &[&str], input: &str) -> Result<Output> {
    feed(cluster, cluster.kubectl().args(arguments), input)
}

/// Writes a program named `kubectl` into `folder`, which is the cluster's kubectl with `options` of its own: those that a caller
/// names come later, and win.
pub fn kubectl_program(cluster: &Cluster, folder: &Path, options: &[&str]) -> Result<()> {
    let quoted = |text: &OsStr| format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"));
    let command = cluster.kubectl();
    let mut words = vec!["exec".to_owned(), "env".to_owned()];
    for (name, value) in command.get_envs() {
        let value = value.context("a variable is taken away")?;
        words.push(quoted(format!("{}={}", name.to_string_lossy(), value.to_string_lossy()).as_ref()));
    }
    words.push(quoted(command.get_program()));
    words.extend(command.get_args().map(quoted));
    words.extend(options.iter().map(|option| quoted(option.as_ref())));
    let path = folder.join("kubectl");
    fs::write(&path, format!("#!/bin/sh\n{} \"$@\"\n", words.join(" ")))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Runs helm. A non-zero exit is an ordinary outcome.
pub fn helm(cluster: &Cluster, arguments: &[&str]) -> Result<Output> {
    feed(cluster, cluster.helm().args(arguments), "")
}

/// Standard output of a run that must have succeeded; otherwise an error with what it said.
pub fn succeed(output: Output) -> Result<String> {
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{}: {}", output.status, String::from_utf8_lossy(&said).trim_end());
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn feed(cluster: &Cluster, command: &mut Command, input: &str) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = cluster.inside(|| command.spawn())?.with_context(|| format!("cannot run {command:?}"))?;
    let stdin = child.stdin.take();
    std::thread::scope(|scope| {
        // Beside reading, or a long input and a long output would wait for each other.
        let writer = scope.spawn(|| stdin.map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes())));
        let output = child.wait_with_output()?;
        match writer.join().map_err(|_| anyhow!("the writer ended early"))? {
            // It ended without reading all, as `kubectl apply` does after an error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(output),
            written => Ok(written.map(|()| output)?),
        }
    })
}
