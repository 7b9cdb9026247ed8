//! `cargo e2e demo`.

use std::time::{Duration, Instant};

use ::kube::{Api, api::ListParams};
use anyhow::{Context, Result, ensure};
use clap::Args;
use crds::{ConditionType, Function, condition, labels};
use k8s_openapi::api::core::v1::Pod;

use super::ready;
use crate::bench::stats::millis;
use crate::cluster::Cluster;
use crate::entry::Entry;
use crate::http::{self, Answer};
use crate::steps::{Steps, seconds};
use crate::{chart, install, kube, repository};

/// Rouse's main job, from nothing: node, images, chart, a function at zero, its first request, and back to zero.
///
/// Prints each command that you could type yourself. The node stays up for you to look around; `cargo e2e down` ends it.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Use the cluster of this kubeconfig context (kind, minikube or any other) instead of a node of our own, with your
    /// own kubectl and helm. Its nodes must have the images: `cargo e2e images` makes the archives.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

const FUNCTION: &str = "hello";
const NAMESPACE: &str = "default";
/// Longest single step.
const PATIENCE: Duration = Duration::from_secs(150);

impl Demo {
    pub(super) fn run(self) -> Result<()> {
        let steps = Steps::new();
        let cluster = match &self.context {
            None => {
                say("cargo e2e install");
                ready::with_rouse(&steps, &[])?
            }
            Some(name) => {
                let cluster = Cluster::Context(name.clone());
                let arguments = install::arguments(&install::chart(), &[]);
                say(&format!("helm --kube-context {name} {}", arguments.join(" ")));
                steps.run("helm upgrade --install rouse", |_| install::chart_installed(&cluster, &[]))?;
                cluster
            }
        };
        let kubectl = match &self.context {
            None => "cargo e2e kubectl".to_owned(),
            Some(name) => format!("kubectl --context {name}"),
        };
        let curl = if self.context.is_none() { "cargo e2e curl" } else { "curl" };

        let manifest = repository().join("examples/hello-image");
        say(&format!("{kubectl} apply -f examples/hello-image/"));
        print!("{}", kube::succeed(kube::kubectl(&cluster, &["apply", "-f", &manifest.display().to_string()], "")?)?);
        let entry = Entry::open(&cluster)?;
        cluster.runtime()?.block_on(async {
            let show = Show { client: kube::client(&cluster).await?, entry: &entry, curl: curl.to_owned() };
            show.ready().await?;
            show.at_zero("nothing runs").await?;
            say(&format!("{kubectl} get rfn"));
            print!("{}", kube::succeed(kube::kubectl(&cluster, &["get", "rfn"], "")?)?);

            let (took, answer) = show.request("The first request, from zero").await?;
            ensure!(answer.header("rouse-cold-start") == Some("true"), "the first request found a pod running");
            let timing = answer.header("server-timing").context("the answer has no Server-Timing")?;
            print!("\n{}", chart::timeline(&http::server_timing(timing)));
            println!("answered after {:.0} ms\n", millis(took));
            let (took, _) = show.request("The same again, warm").await?;
            println!("answered after {:.1} ms\n", millis(took));

            println!("Now nobody calls. Its window is {} s.", show.window().await?);
            let since = Instant::now();
            show.at_zero("everything is at zero again").await?;
            println!("  after {}", seconds(since.elapsed()));
            Ok::<(), anyhow::Error>(())
        })?;
        println!("\nLook around: {kubectl} describe rfn {FUNCTION}");
        if self.context.is_none() {
            println!("End it all:  cargo e2e down");
        }
        Ok(())
    }
}

struct Show<'a> {
    client: ::kube::Client,
    entry: &'a Entry,
    curl: String,
}

impl Show<'_> {
    fn functions(&self) -> Api<Function> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn ready(&self) -> Result<()> {
        let since = Instant::now();
        loop {
            let status = self.functions().get(FUNCTION).await?.status.unwrap_or_default();
            if condition::is_true(&status.conditions, ConditionType::Ready) {
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "the function does not become Ready: {:?}", status.conditions);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn window(&self) -> Result<i32> {
        Ok(self.functions().get(FUNCTION).await?.spec.scaling.window_seconds)
    }

    async fn at_zero(&self, what: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let selector = format!("{}={FUNCTION}", labels::FUNCTION);
        let step = Steps::new().begin(what);
        let since = Instant::now();
        loop {
            if pods.list(&ListParams::default().labels(&selector)).await?.items.is_empty() {
                step.done("no pod");
                return Ok(());
            }
            ensure!(since.elapsed() < PATIENCE, "its pods do not go");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn request(&self, title: &str) -> Result<(Duration, Answer)> {
        println!("\n{title}:");
        let url = self.entry.url(FUNCTION, NAMESPACE);
        say(&format!("{} -i {url}", self.curl));
        let begin = Instant::now();
        let host = self.entry.host(FUNCTION, NAMESPACE);
        let answer = http::get(self.entry.address, &host, "/", PATIENCE).await?;
        println!("HTTP/1.1 {}", answer.status);
        for name in ["rouse-cold-start", "server-timing"] {
            if let Some(value) = answer.header(name) {
                println!("{name}: {value}");
            }
        }
        println!("\n{}", answer.text().trim_end());
        ensure!(answer.status == 200, "the function answered {}", answer.status);
        Ok((answer.first_byte - begin, answer))
    }
}

fn say(command: &str) {
    println!("\n$ {command}");
}
