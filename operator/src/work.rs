//! What works while this process leads: the reconcilers and scaling, put together once for the life of the process.

use std::sync::Arc;

use jiff::Timestamp;
use kube::Client;

use crate::{
    args::Args,
    boost,
    context::{Context, ReadyPods},
    events::Events,
    failure::Verdicts,
    function,
    leadership::{Leadership, Term},
    metrics::Metrics,
    scaling,
    settings::Settings,
    stores::{Key, Queue, Stores},
    trigger,
};

/// The reconcilers and scaling, with what they share.
pub struct Work {
    cx: Arc<Context>,
    scaling: Arc<scaling::Context>,
    queues: Vec<Arc<Queue<Key>>>,
}

/// What a process makes once, for [`Work`] to share.
pub struct Parts {
    /// For single requests.
    pub client: Client,
    /// What new pods are made with.
    pub settings: Settings,
    /// What is known of the cluster.
    pub stores: Stores,
    /// For `kubectl describe`.
    pub events: Events,
    /// Whether this process may write.
    pub leadership: Leadership,
    /// Of the reconcilers.
    pub metrics: Metrics,
    /// Of scaling.
    pub scaling_metrics: scaling::Metrics,
}

impl Work {
    /// Puts everything together. Nothing runs yet; the stores' changes are noted from now on.
    pub fn new(args: &Args, parts: Parts) -> Self {
        let Parts { client, settings, stores, events, leadership, metrics, scaling_metrics } = parts;
        let handle = scaling::Handle::default();
        let verdicts = Verdicts::default();
        let refusals = boost::Refusals::default();
        let scaling = Arc::new(scaling::Context {
            client: client.clone(),
            settings: scaling::Settings {
                namespace: args.pod_namespace.clone(),
                pod_ip: args.pod_ip,
                link_port: args.link_port,
                activator_service_account: args.activator_service_account.clone(),
            },
            stores: stores.clone(),
            verdicts: verdicts.clone(),
            refusals: refusals.clone(),
            events: events.clone(),
            leadership: leadership.clone(),
            handle: handle.clone(),
            metrics: scaling_metrics,
            wall: Box::new(Timestamp::now),
        });
        let queues = vec![stores.subscribe(), handle.changed()];
        let cx = Arc::new(Context {
            client,
            settings,
            stores,
            verdicts,
            refusals,
            ready: Arc::new(handle),
            events,
            metrics,
            leadership,
            memory: Default::default(),
            pod_events: Default::default(),
            recent: Default::default(),
            clock: Default::default(),
            foreign: Default::default(),
            lazy: Default::default(),
            backoff: Default::default(),
            futile: Default::default(),
        });
        Self { cx, scaling, queues }
    }

    /// Works for one term, and serves the activators. It does not return: drop it, and everything stops at once.
    pub async fn lead(&self, term: Term) {
        self.with(Box::pin(scaling::run(Arc::clone(&self.scaling), term))).await;
    }

    /// Reconciles beside `scaling`, which tests start with activators of their own: [`scaling::hearing`].
    pub async fn with(&self, scaling: impl Future<Output = ()>) {
        tokio::join!(
            function::controller::run(Arc::clone(&self.cx), self.queues.clone()),
            trigger::run(Arc::clone(&self.cx)),
            scaling,
        );
    }

    /// What scaling works with.
    pub fn scaling(&self) -> &Arc<scaling::Context> {
        &self.scaling
    }

    /// Forgets what only holds while this process leads.
    pub fn over(&self) {
        self.cx.verdicts.clear();
    }
}

impl ReadyPods for scaling::Handle {
    fn ready_pods(&self, revision: &str, pod_uids: &[String]) -> Option<usize> {
        Self::ready_pods(self, revision, pod_uids)
    }
}
