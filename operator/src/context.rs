//! What every pass of a reconciler works with.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crds::{Function, Trigger};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Service, ServiceAccount},
};
use kube::Client;

use crate::{
    boost::Refusals,
    events::Events,
    failure::{Verdicts, events::Reader, memory::Memory},
    function::{backoff::Backoff, clock::Clock, degraded::Foreign, lazy::Lazy},
    leadership::Leadership,
    metrics::Metrics,
    recent::Recent,
    settings::Settings,
    stores::{Key, Stores},
};

/// Which pods the activators have proved ready.
pub trait ReadyPods: Send + Sync {
    /// How many of these pods of a revision every activator has proved ready; `None` = not known now.
    fn ready_pods(&self, revision: &str, pod_uids: &[String]) -> Option<usize>;
}

/// What a process makes once, for its reconcilers and scaling to share.
pub struct Parts {
    /// For single requests.
    pub client: Client,
    /// What is known of the cluster.
    pub stores: Stores,
    /// What new pods are made with.
    pub settings: Settings,
    /// For `kubectl describe`.
    pub events: Events,
    /// Of the reconcilers.
    pub metrics: Metrics,
    /// Whether this process may write.
    pub leadership: Leadership,
}

/// What every pass of a reconciler works with.
pub struct Context {
    /// For single requests.
    pub client: Client,
    /// What is known of the cluster.
    pub stores: Stores,
    /// The installation.
    pub settings: Settings,
    /// Failed starts.
    pub verdicts: Verdicts,
    /// Functions that start with their own CPU limit, because resizing was refused.
    pub refusals: Refusals,
    /// Which pods are ready.
    pub ready: Arc<dyn ReadyPods>,
    /// For `kubectl describe`.
    pub events: Events,
    /// Metrics.
    pub metrics: Metrics,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// What pods no longer say.
    pub memory: Memory,
    /// What only Events say of pods.
    pub pod_events: Reader,
    /// What was written a moment ago.
    pub recent: Written,
    /// How long revisions have been starting.
    pub clock: Clock,
    /// Who else writes replicas.
    pub foreign: Foreign,
    /// Since when differences that are not urgent wait to be told.
    pub lazy: Lazy,
    /// Per object, how long to wait after an error.
    pub backoff: Backoff<Key>,
    /// Per Function and child (UIDs), the child's state after an apply that changed nothing: it is not applied again to
    /// that.
    pub futile: Mutex<HashMap<(String, String), u64>>,
}

impl Context {
    /// Nothing is remembered yet.
    pub fn new(parts: Parts, verdicts: Verdicts, refusals: Refusals, ready: Arc<dyn ReadyPods>) -> Self {
        let Parts { client, stores, settings, events, metrics, leadership } = parts;
        Self {
            client,
            stores,
            settings,
            verdicts,
            refusals,
            ready,
            events,
            metrics,
            leadership,
            memory: Memory::default(),
            pod_events: Reader::default(),
            recent: Written::default(),
            clock: Clock::default(),
            foreign: Foreign::default(),
            lazy: Lazy::default(),
            backoff: Backoff::default(),
            futile: Mutex::default(),
        }
    }

    /// Forgets everything about a Function that is gone.
    pub fn forget(&self, function_uid: &str) {
        self.memory.forget(function_uid);
        self.clock.stop(function_uid);
        self.foreign.forget(function_uid);
        self.lazy.forget(function_uid);
        self.verdicts.replace(function_uid, Vec::new());
        self.refusals.forget(function_uid);
        self.futile.lock().unwrap_or_else(PoisonError::into_inner).retain(|(uid, _), _| uid != function_uid);
    }
}

/// What was written a moment ago, by kind.
#[derive(Default)]
#[allow(missing_docs)]
pub struct Written {
    pub functions: Recent<Function>,
    pub triggers: Recent<Trigger>,
    pub deployments: Recent<Deployment>,
    pub services: Recent<Service>,
    pub service_accounts: Recent<ServiceAccount>,
}
