//! The activator beside other reverse proxies, and beside none, in front of the same pod under the same load.
//!
//! All of them are pods on the node, of one shape ([`pod`]), and send to the IP of the one pod of a function that is kept warm.
//! The load generator is outside of them, on the node ([`super::h2load`]). A round runs every proxy under every load ([`order`]); a
//! run counts requests, latency, CPU time and memory in a window of time inside the load. On a noisy machine CPU time
//! for each request is the figure that holds.

mod cell;
mod order;
mod pod;
mod report;
mod rival;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use crds::{labels, names};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, LogParams, PostParams},
};
use serde_json::json;

pub use cell::Cell;
pub use report::{Row, table};
pub use rival::{Programs, Proxy};

use super::{
    h2load::{Generator, Protocol},
    namespace,
};
use crate::scene::until;
use crate::{http, install};
use rival::Rival;

/// Where the bench works, and with what.
pub struct Bench {
    /// The cluster: the node of this machine.
    pub client: Client,
    /// A namespace of its own, made and removed by the bench.
    pub namespace: String,
    /// Image of the function: the test application.
    pub image: String,
    /// What is measured, and measures.
    pub programs: Programs,
}

/// How much is measured.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Runs of each proxy under each load.
    pub rounds: usize,
    /// How long each run counts.
    pub measured: Duration,
    /// The loads.
    pub cells: Vec<Cell>,
}

impl Extent {
    /// How many runs that is.
    pub fn runs(&self) -> usize {
        self.rounds * self.cells.len() * Proxy::ALL.len()
    }

    /// How long they take, about.
    pub fn lasts(&self) -> Duration {
        // Beside its window each run has a load before and after, and programs that start and end.
        (self.measured + Duration::from_millis(650)) * self.runs().try_into().unwrap_or(u32::MAX)
    }
}

/// What is put under load.
#[derive(Clone, Debug)]
struct Target {
    proxy: Proxy,
    /// Where it speaks HTTP/1.1.
    http1: SocketAddr,
    /// Where it speaks h2c.
    h2c: SocketAddr,
    /// UID of its pod, whose processes are measured; nothing where there is no proxy.
    pod: Option<String>,
}

impl Target {
    fn at(&self, protocol: Protocol) -> SocketAddr {
        match protocol {
            Protocol::Http1 => self.http1,
            Protocol::H2c => self.h2c,
        }
    }
}

const FUNCTION: &str = "bytes";
/// The load before what counts.
const WARM_UP: Duration = Duration::from_millis(400);
/// Where the test application listens unless told otherwise.
const POD_PORT: u16 = 8080;
/// Longest single step: a pod that starts, the first answer of a proxy.
const PATIENCE: Duration = Duration::from_secs(60);

impl Bench {
    /// Runs all of it; `progress` hears of each cell of each round.
    ///
    /// # Errors
    /// When the cluster refuses a step, a proxy does not start, or a single request fails.
    pub async fn run(&self, extent: &Extent, progress: impl FnMut(&str)) -> Result<Vec<Row>> {
        // Boxed: it holds a whole run.
        namespace::during(&self.client, &self.namespace, Box::pin(self.measure(extent, progress))).await
    }

    async fn measure(&self, extent: &Extent, mut progress: impl FnMut(&str)) -> Result<Vec<Row>> {
        let host = format!("{FUNCTION}.{}", self.namespace);
        let targets = self.targets(&host).await?;
        let generator =
            Generator { program: &self.programs.h2load, host: &host, warm_up: WARM_UP, measured: extent.measured };
        let turns = order::turns(extent.rounds, &extent.cells);
        let mut runs = Vec::new();
        for side_by_side in turns.chunks(Proxy::ALL.len()) {
            let mut line = String::new();
            for turn in side_by_side {
                let target = targets.iter().find(|target| target.proxy == turn.proxy);
                let target = target.context("a proxy without a pod")?;
                let run = generator.run(target.at(turn.cell.protocol), target.pod.as_deref(), &turn.cell.load()).await;
                let figures = run.with_context(|| format!("{} by {}", turn.cell, turn.proxy))?;
                if line.is_empty() {
                    line = format!("{}/{} {:<16}", turn.round + 1, extent.rounds, turn.cell.to_string());
                }
                line += &match figures.cpu_us {
                    Some(cpu) => format!("  {} {:.0}/s {cpu:.1} µs", turn.proxy, figures.rps),
                    None => format!("  {} {:.0}/s", turn.proxy, figures.rps),
                };
                runs.push((*turn, figures));
            }
            progress(&line);
        }
        report::rows(&extent.cells, &runs)
    }

    /// Starts everything, and sees the function answer by each proxy.
    async fn targets(&self, host: &str) -> Result<Vec<Target>> {
        let backend = self.backend().await?;
        let activator = self.activator().await?;
        let entry = SocketAddr::new(address(&activator)?, names::ACTIVATOR_PORT);
        let mut targets = vec![
            Target { proxy: Proxy::None, http1: backend, h2c: backend, pod: None },
            Target { proxy: Proxy::Activator, http1: entry, h2c: entry, pod: Some(uid(&activator)?) },
        ];
        for rival in Rival::all(&self.programs, backend) {
            targets.push(self.start(&rival, &activator).await?);
        }
        for Target { proxy, http1, .. } in &targets {
            let answer = http::get(*http1, host, "/", PATIENCE).await?;
            ensure!(answer.status == 200, "by {proxy} the function answers {}: {}", answer.status, answer.text());
        }
        Ok(targets)
    }

    /// The function's one pod.
    async fn backend(&self) -> Result<SocketAddr> {
        // One pod, always, for which nothing is ever held.
        let spec = json!({
            "image": self.image,
            "scaling": {"minReplicas": 1, "maxReplicas": 1, "target": 10_000},
            "resources": {"cpu": "500m"},
        });
        let revision = namespace::function(&self.client, &self.namespace, FUNCTION, spec).await?;
        let selector = labels::pods_of(FUNCTION, &revision);
        let ip = until("the function's pod has an IP", PATIENCE, async || {
            let pods = self.pods().list(&ListParams::default().labels(&selector)).await?;
            Ok(pods.items.first().and_then(|pod| address(pod).ok()))
        })
        .await?;
        let backend = SocketAddr::new(ip, POD_PORT);
        http::first_byte(backend, "/", PATIENCE).await?;
        Ok(backend)
    }

    async fn activator(&self) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), install::NAMESPACE);
        let selector = format!("{}=activator", labels::APP_COMPONENT);
        until("an activator runs", PATIENCE, async || {
            let pods = pods.list(&ListParams::default().labels(&selector)).await?;
            Ok(pods.items.into_iter().find(|pod| pod.metadata.deletion_timestamp.is_none() && address(pod).is_ok()))
        })
        .await
    }

    /// Starts a rival, and waits until it answers.
    async fn start(&self, rival: &Rival, activator: &Pod) -> Result<Target> {
        if let Some(map) = pod::configuration(rival)? {
            let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
            maps.create(&PostParams::default(), &map).await?;
        }
        let name = rival.proxy.name();
        let shape = pod::pod(rival, activator, &self.programs.go)?;
        let pod = Some(uid(&self.pods().create(&PostParams::default(), &shape).await?)?);
        let ip = until(&format!("the pod {name} runs"), PATIENCE, async || {
            let pod = self.pods().get(name).await?;
            let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
            ensure!(phase != "Failed" && phase != "Succeeded", "the pod {name} has ended:\n{}", self.log(name).await);
            (phase == "Running").then(|| address(&pod)).transpose()
        })
        .await?;
        let at = |protocol| SocketAddr::new(ip, rival.port(protocol));
        if let Err(error) = http::first_byte(at(Protocol::Http1), "/", PATIENCE).await {
            bail!("{name} does not answer: {error:#}\n{}", self.log(name).await);
        }
        Ok(Target { proxy: rival.proxy, http1: at(Protocol::Http1), h2c: at(Protocol::H2c), pod })
    }

    /// What a pod has said, for an error's text.
    async fn log(&self, pod: &str) -> String {
        self.pods().logs(pod, &LogParams::default()).await.unwrap_or_else(|error| error.to_string())
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn uid(pod: &Pod) -> Result<String> {
    pod.uid().context("a pod without a UID")
}

fn address(pod: &Pod) -> Result<IpAddr> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without an IP")?;
    ip.parse().with_context(|| format!("{ip} is no IP"))
}
