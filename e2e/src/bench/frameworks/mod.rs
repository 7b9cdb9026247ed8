//! Functions from source beside Google's Functions Framework: the same handler, in pods of one shape, one pod at a time.
//!
//! A turn of a contestant is a start from zero, 1,000 requests to its pod and 1,000 through the activator, each 50 at once and
//! each answer checked ([`checked`]), a load of h2load on the pod ([`super::h2load`]), and the way back to zero. So every round
//! has a process of its own, and no two share memory.

mod checked;
mod contestant;
mod report;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use crds::labels;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};

pub use report::{Row, failures, table};

use super::{
    cold_start,
    h2load::{Figures, Generator, Load, Protocol},
    namespace,
};
use crate::images::Image;
use crate::preflight;
use crate::steps::Steps;
use checked::Checked;
use contestant::{BODY, Contestant};

/// Where the bench works, and with what.
pub struct Bench {
    /// The cluster, and how functions start on it.
    pub starts: cold_start::Bench,
    /// The load generator.
    pub h2load: PathBuf,
    /// Turns of each contestant.
    pub rounds: usize,
    /// How long each load counts.
    pub measured: Duration,
}

/// One turn of one contestant.
#[derive(Clone, Debug)]
struct Turn {
    from_zero: Duration,
    direct: Checked,
    through: Checked,
    figures: Figures,
}

/// Connections of the load, which is as many as requests are under way while answers are checked.
const CONNECTIONS: usize = 50;
/// The load before what counts, in which V8 compiles what it finds to be hot.
const WARM_UP: Duration = Duration::from_secs(1);
/// Where a function listens unless told otherwise.
const POD_PORT: u16 = 8080;

/// The load generator, installed if it is not there; and what the images are packed with.
///
/// # Errors
/// When a package is missing and cannot be installed.
pub fn prepare(steps: &Steps) -> Result<PathBuf> {
    preflight::frameworks(steps)?;
    preflight::find("h2load").context("there is no h2load")
}

/// The images of the frameworks, which nothing else needs: for Python, and for Node.
pub fn images() -> [Image; 2] {
    Image::frameworks()
}

impl Bench {
    /// Runs all of it; `progress` hears of each turn.
    ///
    /// # Errors
    /// When the cluster refuses a step, a contestant does not start, or a request of the load fails.
    pub async fn run(&self, progress: impl FnMut(&str)) -> Result<Vec<Row>> {
        let all = contestant::all(&images());
        let Bench { starts, .. } = self;
        // Boxed: it holds a whole turn.
        let turns = Box::pin(self.measure(&all, progress));
        report::rows(&all, &namespace::during(&starts.client, &starts.namespace, turns).await?)
    }

    /// The turns of each round, in the order of the contestants.
    async fn measure(&self, all: &[Contestant], mut progress: impl FnMut(&str)) -> Result<Vec<Vec<Turn>>> {
        let mut revisions = Vec::new();
        for Contestant { name, spec, .. } in all {
            let revision = namespace::function(&self.starts.client, &self.starts.namespace, name, spec.clone()).await?;
            // Images are unpacked and caches filled.
            self.starts.cold_start(name, &revision).await.with_context(|| (*name).to_owned())?;
            revisions.push(revision);
        }
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            let mut turns: Vec<Option<Turn>> = vec![None; all.len()];
            for place in order(round, all.len()) {
                let name = all[place].name;
                let turn = self.turn(name, &revisions[place]).await.with_context(|| name.to_owned())?;
                progress(&report::line(round, name, &turn));
                turns[place] = Some(turn);
            }
            rounds.push(turns.into_iter().flatten().collect());
        }
        Ok(rounds)
    }

    async fn turn(&self, name: &str, revision: &str) -> Result<Turn> {
        let from_zero = self.starts.start(name).await?.took;
        let pods: Api<Pod> = Api::namespaced(self.starts.client.clone(), &self.starts.namespace);
        let pods = pods.list(&ListParams::default().labels(&labels::pods_of(name, revision))).await?.items;
        ensure!(pods.len() == 1, "it has {} pods", pods.len());
        let uid = pods[0].uid().context("a pod without a UID")?;
        let ip = pods[0].status.as_ref().and_then(|status| status.pod_ip.as_deref()).context("a pod without an IP")?;
        let pod = SocketAddr::new(ip.parse()?, POD_PORT);

        let host = format!("{name}.{}", self.starts.namespace);
        let direct = checked::ask(pod, &host, BODY).await?;
        let through = checked::ask(self.starts.entry, &host, BODY).await?;
        let program: &Path = &self.h2load;
        let generator = Generator { program, host: &host, warm_up: WARM_UP, measured: self.measured };
        let figures = generator.run(pod, Some(&uid), &load()?).await?;
        self.starts.back_to_zero(name, revision).await?;
        Ok(Turn { from_zero, direct, through, figures })
    }
}

/// Every other round backwards, so that nobody always comes behind the same one.
fn order(round: usize, contestants: usize) -> Vec<usize> {
    let forwards = 0..contestants;
    if round % 2 == 1 { forwards.rev().collect() } else { forwards.collect() }
}

fn load() -> Result<Load> {
    Ok(Load {
        protocol: Protocol::Http1,
        connections: CONNECTIONS.try_into()?,
        path: "/".to_owned(),
        body_bytes: BODY.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backwards_every_other_round() {
        assert_eq!([order(0, 3), order(1, 3), order(2, 3)], [[0, 1, 2], [2, 1, 0], [0, 1, 2]]);
    }
}
