//! The simulated cluster: its hosts, the controllers that are not Rouse's, and what happens to all of them step by step.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::sync::watch;
use turmoil::{Builder, Sim};

use super::{
    activator,
    faults::{Fault, Way},
    leader::{self, Mandate},
    truth::{Activator, Pod, TICK, Truth, WINDOW},
};
use crate::{
    link::activator::Added,
    scaling::tests::{
        Cluster,
        cluster::{deployment, function, pod},
    },
};

const ACTIVATORS: [&str; 3] = ["a", "b", "c"];
pub(super) const REPLICAS: [&str; 2] = ["x", "y"];
/// From a pod's wish to the pod.
const START: Duration = Duration::from_millis(300);
/// From a pod's deletion to its end.
const END: Duration = Duration::from_secs(2);
const EVER: Duration = Duration::from_secs(1_000_000);

/// What is to be done later.
#[derive(Clone, Copy, Debug)]
pub(super) enum Later {
    Heal { activator: usize, replica: usize },
    Thaw { activator: usize },
    Boot { activator: usize },
    Lead { replica: usize, epoch: u64 },
    Pod { revision: u32 },
}

pub(super) struct Net {
    pub(super) sim: Sim<'static>,
    pub(super) truth: Arc<Truth>,
    pub(super) cluster: Cluster,
    pub(super) random: StdRng,
    pub(super) activators: Vec<&'static str>,
    pub(super) mandates: [watch::Sender<Option<Mandate>>; 2],
    pub(super) leads: usize,
    pub(super) epoch: u64,
    pub(super) revision: u32,
    pub(super) pods: u32,
    pub(super) later: Vec<(Duration, Later)>,
    /// What is wrong between an activator and a replica.
    pub(super) links: BTreeMap<(usize, usize), (bool, Way)>,
    /// Processes that are killed.
    pub(super) dead: Vec<usize>,
    pub(super) shown: String,
    pub(super) faults: Vec<(Duration, Fault)>,
}

impl Net {
    /// Function `f`, whose one pod is ready, and everything in order.
    pub(super) fn new(seed: u64, activators: usize) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let mut sim = Builder::new()
            .simulation_duration(EVER)
            .tick_duration(TICK)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(40))
            .rng_seed(seed)
            .build();
        let (truth, cluster) = (Arc::new(Truth::default()), Cluster::new());
        let activators = ACTIVATORS[..activators].to_vec();
        {
            let mut inner = truth.lock();
            for name in &activators {
                inner.activators.insert(name, Activator::new());
                cluster.activator(name);
            }
        }
        let asked = Arc::clone(&truth);
        cluster.api().on_lowering = Some(Box::new(move |revision| asked.lowered(revision)));
        let mandates = REPLICAS.map(|name| {
            let (mandate, mandates) = watch::channel(None);
            let host = (Arc::clone(&truth), cluster.clone());
            sim.host(name, move || leader::run(name, Arc::clone(&host.0), host.1.clone(), mandates.clone()));
            mandate
        });
        for name in activators.iter().copied() {
            let host = (Arc::clone(&truth), cluster.clone());
            sim.host(name, move || activator::run(name, Arc::clone(&host.0), host.1.clone(), seed));
        }
        let mut net = Self {
            sim,
            truth,
            cluster,
            random,
            activators,
            mandates,
            leads: 0,
            epoch: 0,
            revision: 0,
            pods: 0,
            later: Vec::new(),
            links: BTreeMap::new(),
            dead: Vec::new(),
            shown: String::new(),
            faults: Vec::new(),
        };
        net.roll_out();
        net.lead(0, 1);
        net
    }

    pub(super) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    pub(super) fn after(&mut self, time: Duration, what: Later) {
        self.later.push((self.now() + time, what));
    }

    /// Another revision serves, with one pod, like the one before.
    pub(super) fn roll_out(&mut self) {
        self.revision += 1;
        let name = format!("f-{}", self.revision);
        self.cluster.deployment(deployment(&name, 1));
        let mut function = function(&name);
        function["spec"]["scaling"] = json!({"windowSeconds": WINDOW.as_secs(), "maxReplicas": 1});
        self.truth.lock().serving = name;
        self.pod(self.revision);
        self.cluster.function(function);
    }

    pub(super) fn pod(&mut self, revision: u32) {
        self.pods += 1;
        let (uid, revision) = (format!("p{}", self.pods), format!("f-{revision}"));
        self.cluster.pod(pod(&uid, &revision));
        let pod = Pod::new(revision, self.now());
        self.truth.lock().pods.insert(uid, pod);
    }

    pub(super) fn lead(&mut self, replica: usize, epoch: u64) {
        (self.leads, self.epoch) = (replica, epoch);
        self.mandates[replica].send_replace(Some(Mandate { epoch, until: EVER }));
    }

    pub(super) fn step(&mut self) {
        self.sim.step().unwrap();
        self.controllers();
        self.slow_ways();
        let now = self.now();
        let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, _)| *at <= now);
        self.later = later;
        let due: Vec<(Duration, Later)> = due;
        for (_, what) in due {
            self.happen(what);
        }
        let mut inner = self.truth.lock();
        for term in 0..inner.terms.len() {
            let (_, most) = inner.bounds(term, now);
            let counted = inner.terms[term].metrics.added();
            if !at_most(&counted, &most) {
                let epoch = inner.terms[term].epoch;
                inner.broken.push(format!("{now:?}: leader {epoch} counted {counted:?}, there were {most:?}"));
            }
        }
        assert!(inner.broken.is_empty(), "{:#?}\nafter {:#?}", inner.broken, self.faults);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.step();
        }
    }

    /// How long it took until then.
    pub(super) fn until(&mut self, what: &str, most: Duration, holds: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now();
        while !holds(self) {
            let late = self.now() > start + most;
            assert!(!late, "{what}: not within {most:?} from {start:?}, after {:#?}", self.faults);
            self.step();
        }
        self.now() - start
    }

    /// The Deployment controller, the kubelets, and the watch of the leader, which lags.
    fn controllers(&mut self) {
        let deployments: Vec<(String, i64, String)> = {
            let api = self.cluster.api();
            let one = |(name, object): (&String, &serde_json::Value)| {
                let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
                (name.clone(), object["spec"]["replicas"].as_i64().unwrap(), version)
            };
            api.deployments.iter().map(one).collect()
        };
        let now = self.now();
        for (name, replicas, _) in &deployments {
            let revision: u32 = name[2..].parse().unwrap();
            let live: Vec<String> = {
                let inner = self.truth.lock();
                let pods = inner.pods.iter().filter(|(_, pod)| pod.revision == *name && pod.leaving.is_none());
                pods.map(|(uid, _)| uid.clone()).collect()
            };
            let coming =
                |(_, later): &(Duration, Later)| matches!(later, Later::Pod { revision: of } if *of == revision);
            let wanted = usize::try_from(*replicas).unwrap();
            if live.len() + self.later.iter().filter(|later| coming(later)).count() < wanted {
                self.after(START, Later::Pod { revision });
            } else if live.len() > wanted {
                for uid in live {
                    let mut object = pod(&uid, name);
                    object["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:00Z");
                    self.cluster.pod(object);
                    self.truth.lock().pods.get_mut(&uid).unwrap().leaving = Some(now);
                }
            }
        }
        let ended = |(_, pod): &(&String, &Pod)| pod.leaving.is_some_and(|since| since + END <= now);
        let ended: Vec<String> = self.truth.lock().pods.iter().filter(ended).map(|(uid, _)| uid.clone()).collect();
        for uid in ended {
            self.truth.lock().pods.remove(&uid);
            self.cluster.remove_pod(&uid);
        }
        let shown = format!("{deployments:?}");
        if shown != self.shown && self.random.random_bool(0.3) {
            self.shown = shown;
            self.cluster.sync();
        }
    }

    /// Where only one way is slow, the other goes on.
    fn slow_ways(&self) {
        let pairs: Vec<(IpAddr, IpAddr)> = self
            .links
            .iter()
            .filter_map(|((activator, replica), (lost, way))| {
                let ends = (self.sim.lookup(self.activators[*activator]), self.sim.lookup(REPLICAS[*replica]));
                match way {
                    Way::Up if !lost => Some((ends.1, ends.0)),
                    Way::Down if !lost => Some(ends),
                    _ => None,
                }
            })
            .collect();
        if pairs.is_empty() {
            return;
        }
        self.sim.links(|links| {
            for sent in links.flatten() {
                let (from, to) = sent.pair();
                if pairs.contains(&(from.ip(), to.ip())) {
                    sent.deliver();
                }
            }
        });
    }

    pub(super) fn happen(&mut self, what: Later) {
        match what {
            Later::Heal { activator, replica } => self.heal(activator, replica),
            Later::Thaw { activator } => self.freeze(activator, false),
            Later::Boot { activator } => {
                self.dead.retain(|dead| *dead != activator);
                self.sim.bounce(self.activators[activator]);
            }
            Later::Lead { replica, epoch } => {
                if !self.sim.is_host_running(REPLICAS[replica]) {
                    self.sim.bounce(REPLICAS[replica]);
                }
                self.lead(replica, epoch);
            }
            Later::Pod { revision } => {
                let name = format!("f-{revision}");
                let live = self.truth.lock().pods.values().any(|pod| pod.revision == name && pod.leaving.is_none());
                if !live && self.cluster.replicas(&name) > 0 {
                    self.pod(revision);
                }
            }
        }
    }
}

/// Whether no total of `one` is more than the `other`.
pub(super) fn at_most(one: &Added, other: &Added) -> bool {
    one.requests <= other.requests
        && one.in_flight_request_ms <= other.in_flight_request_ms
        && one.held_request_ms <= other.held_request_ms
}
