//! Long runs on the real node: what must be seen of scaling, seen or not, with the raw figures.

mod apiserver;
mod awake;
mod burst;
mod ending;
pub mod floods;
mod held;
mod leader;
mod loss;
mod observed;
mod overload;
pub mod plot;
pub mod report;
mod restarts;
mod stage;
mod steady;
mod storms;
mod terms;
mod thousand;
mod undrained;
mod wake;

use std::{
    process::Command,
    time::{Duration, Instant},
};

use ::kube::Client;
use anyhow::Result;
use clap::ValueEnum;
use jiff::Timestamp;

use crate::{cluster::Cluster, install, kube, node::Component, repository, rouse::Rouse, scene::Scene, steps::Steps};
use ending::Signals;
use report::{Environment, Report};
use stage::Stage;

/// How long the objects of a run may take to go.
const CLEANING: Duration = Duration::from_secs(600);

/// A long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Steady load, counted by concurrency.
    Steady,
    /// Steady load, counted by requests per second.
    SteadyRps,
    /// Ten times the load in one step.
    Burst,
    /// Short requests keep a function awake, and nothing else does.
    Awake,
    /// No request is lost while replicas go and images change.
    Loss,
    /// Many functions woken at once, beside bare Deployments.
    Wake,
    /// The leader killed and frozen, an activator killed and frozen.
    Leader,
    /// Five times what the replicas can answer.
    Overload,
    /// Ten thousand requests for one start.
    Held,
    /// A thousand idle functions.
    Thousand,
    /// The activators restarted, and killed.
    Restarts,
    /// Without the API server for a minute.
    Apiserver,
    /// Every exchange with every pod breaks.
    Storms,
    /// Attackers on the activator, one kind after the other.
    Floods,
}

impl Scenario {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::SteadyRps => "steady-rps",
            Self::Burst => "burst",
            Self::Awake => "awake",
            Self::Loss => "loss",
            Self::Wake => "wake",
            Self::Leader => "leader",
            Self::Overload => "overload",
            Self::Held => "held",
            Self::Thousand => "thousand",
            Self::Restarts => "restarts",
            Self::Apiserver => "apiserver",
            Self::Storms => "storms",
            Self::Floods => "floods",
        }
    }

    /// What must be seen.
    pub fn about(self) -> &'static str {
        match self {
            Self::Steady => {
                "6 × target concurrent requests of 500 ms for 90 s: none fails, and after 10 s the replicas are what the formula says, ± 1"
            }
            Self::SteadyRps => "the same with metric RequestsPerSecond, at a fixed rate of 6 × target",
            Self::Burst => {
                "load × 10 in one step on a warm function: 90 % of the replicas ordered within 200 ms, held requests served in order, none fails"
            }
            Self::Awake => {
                "a request of 5 ms each second keeps a function awake; open connections and probes alone do not"
            }
            Self::Loss => {
                "20 scale-downs and 10 new images under 300 requests/s of HTTP/1.1 and HTTP/2 and streams of 30 s: of 60,000 requests none fails, each id arrives once"
            }
            Self::Wake => {
                "20 functions woken at once: at most 1.1 × as long as 20 bare Deployments scaled at once; 100 for the figure"
            }
            Self::Leader => {
                "leader killed 30 times and frozen 10 times: replaced within 20 s, no ex-leader lowers what its successor has written, no request fails; a lost activator blocks no scale-down for long"
            }
            Self::Overload => {
                "5 × what a function at maxReplicas can answer, for 60 s: ≥ 90 % of that is answered, 99 % of the refusals come within 50 ms, the activator's memory is flat, and 5 s later all is well"
            }
            Self::Held => {
                "10,000 requests of 1 KiB wait for one function, which takes 5 s to start: all are answered, in the order in which they came, after one wake, and the activator takes at most 200 MB for them; then 20 for each of 100 functions at once"
            }
            Self::Thousand => {
                "1,000 idle functions: Ready within 60 s, 64 MiB + 50 KiB each, a restarted operator is calm within 10 s and writes nothing, any of them wakes as fast as one alone"
            }
            Self::Restarts => {
                "10 rolling restarts of two activators under 300 requests/s of HTTP/1.1 and HTTP/2 and streams of 30 s: none fails, each id arrives once, connections are told by GOAWAY and `Connection: close`; SIGKILL to one of two, 5 times: ≥ 99 % answered, and all that may be sent again"
            }
            Self::Apiserver => {
                "the API server killed for 60 s, and frozen for 60 s, under 300 requests/s: of the warm ones none fails; those to functions at zero are held until it is back, or told by 503 or 504 when to come again; nothing is forgotten, and nothing that is called goes to zero"
            }
            Self::Storms => {
                "every exchange with every pod breaks for 60 s, at 60 requests/s and at 200: at most 1.2 sendings for each, by the activator's metrics and by the pods"
            }
            Self::Floods => {
                "twelve kinds of HTTP/2 flood for 60 s each: at most 30 % of a core and 20 MiB; 5,000 slow heads and 5,000 slow bodies are sent away within 30 s; of 50 requests/s beside them none fails"
            }
        }
    }

    /// About how many minutes it takes, cleaning up included.
    pub fn minutes(self) -> u32 {
        match self {
            Self::Steady | Self::SteadyRps | Self::Overload | Self::Held => 3,
            Self::Burst => 9,
            Self::Awake => 5,
            Self::Loss => 12,
            Self::Restarts => 14,
            Self::Apiserver => 6,
            Self::Storms => 4,
            Self::Wake => 10,
            Self::Leader => 30,
            Self::Thousand => 15,
            Self::Floods => 18,
        }
    }

    async fn run(self, stage: &Stage, report: &mut Report) -> Result<()> {
        match self {
            Self::Steady => steady::run(stage, report, steady::CONCURRENCY).await,
            Self::SteadyRps => steady::run(stage, report, steady::PER_SECOND).await,
            Self::Burst => burst::run(stage, report).await,
            Self::Awake => awake::run(stage, report).await,
            Self::Loss => loss::run(stage, report).await,
            Self::Wake => wake::run(stage, report).await,
            Self::Leader => leader::run(stage, report).await,
            Self::Overload => overload::run(stage, report).await,
            Self::Held => held::run(stage, report).await,
            Self::Thousand => thousand::run(stage, report).await,
            Self::Restarts => restarts::run(stage, report).await,
            Self::Apiserver => apiserver::run(stage, report).await,
            Self::Storms => storms::run(stage, report).await,
            Self::Floods => floods::run(stage, report).await,
        }
    }
}

/// Runs a scenario in a namespace of its own, and puts everything back as it was. A scenario that breaks off, by an
/// interrupt (Ctrl-C), SIGTERM or a panic too, gives a report all the same, which says so and has what was seen until then.
/// A second signal ends the wait for the namespace to go, which is deleted all the same.
///
/// # Errors
/// When Rouse is not there to begin with.
pub async fn run(cluster: &Cluster, scenario: Scenario, rehearsal: bool) -> Result<Report> {
    let steps = Steps::new();
    let client = kube::client(cluster).await?;
    let rouse = Rouse::found(client.clone()).await?;
    let environment = environment(cluster, &client, &rouse).await?;
    // Before there is anything to put back.
    let mut signals = Signals::new()?;
    let scene = Scene::open(cluster, &format!("soak-{}", scenario.name())).await?;
    let began = Instant::now();
    let mut report = Report {
        scenario: scenario.name().to_owned(),
        about: scenario.about().to_owned(),
        rehearsal,
        began: Timestamp::now(),
        took_seconds: 0.0,
        environment,
        checks: Vec::new(),
        figures: Vec::new(),
        left_out: Vec::new(),
        series: Default::default(),
    };
    let stage = Stage::new(scene, rouse, steps, rehearsal);
    let limit = Duration::from_secs(u64::from(scenario.minutes()) * 60 * 3);
    let running = Box::pin(scenario.run(&stage, &mut report));
    if let Err(error) = ending::ended(running, limit, signals.next()).await {
        report.check("the scenario ran to its end", "yes", format!("{error:#}"), false);
    }
    stage.tell(&mut report);

    let cleaning = stage.steps.begin("all as it was before");
    if let Err(error) = stage.rouse.restore().await {
        report.check("the installation put back as it was", "yes", format!("{error:#}"), false);
    }
    // A signal that came meanwhile must not be quicker than the deletion.
    let closed = match stage.scene.delete().await {
        Ok(()) => tokio::select! {
            gone = stage.scene.gone(CLEANING) => gone,
            error = signals.next() => Err(error),
        },
        refused => refused,
    };
    match closed {
        Ok(()) => cleaning.done(""),
        // The figures are no worse for it.
        Err(error) => cleaning.done(&format!("the namespace is not gone yet: {error:#}")),
    }
    report.took_seconds = began.elapsed().as_secs_f64().round();
    Ok(report)
}

async fn environment(cluster: &Cluster, client: &Client, rouse: &Rouse) -> Result<Environment> {
    let controller_manager = match cluster {
        Cluster::Node(node) => {
            let mut flags = node.arguments(Component::ControllerManager);
            flags.retain(|flag| flag.starts_with("--kube-api-") || flag.starts_with("--concurrent-"));
            flags
        }
        Cluster::Context(_) => Vec::new(),
    };
    Ok(Environment {
        kubernetes: client.apiserver_version().await?.git_version,
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        operators: rouse.pods(install::OPERATOR).await?.len(),
        activators: rouse.pods(install::ACTIVATOR).await?.len(),
        lease_seconds: rouse.lease().await?.spec.and_then(|spec| spec.lease_duration_seconds),
        controller_manager,
        commit: commit(),
    })
}

/// Empty where this is no git checkout.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(repository()).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let dirty = git(&["status", "--porcelain"]).is_some_and(|files| !files.is_empty());
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_default() + if dirty { "-dirty" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_has_one_name() {
        for scenario in Scenario::value_variants() {
            let typed = scenario.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(typed.as_deref(), Some(scenario.name()));
        }
    }
}
