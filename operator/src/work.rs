//! What works while this process leads: the reconcilers and scaling, put together once for the life of the process.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    args::Args,
    boost,
    context::{Context, Parts, ReadyPods},
    failure::Verdicts,
    function,
    leadership::Term,
    scaling,
    stores::{Key, Queue},
    trigger,
};

/// The reconcilers and scaling, with what they share.
pub struct Work {
    cx: Arc<Context>,
    scaling: Arc<scaling::Context>,
    queues: Vec<Arc<Queue<Key>>>,
}

impl Work {
    /// Puts everything together. Nothing runs yet; the stores' changes are noted from now on.
    pub fn new(args: &Args, parts: Parts, scaling_metrics: scaling::Metrics) -> Self {
        let handle = scaling::Handle::default();
        let verdicts = Verdicts::default();
        let refusals = boost::Refusals::default();
        let scaling = Arc::new(scaling::Context {
            client: parts.client.clone(),
            settings: scaling::Settings {
                namespace: args.pod_namespace.clone(),
                pod_ip: args.pod_ip,
                link_port: args.link_port,
                activator_service_account: args.activator_service_account.clone(),
            },
            stores: parts.stores.clone(),
            verdicts: verdicts.clone(),
            refusals: refusals.clone(),
            events: parts.events.clone(),
            leadership: parts.leadership.clone(),
            handle: handle.clone(),
            metrics: scaling_metrics,
            wall: Box::new(Timestamp::now),
        });
        let queues = vec![parts.stores.subscribe(), handle.changed()];
        let cx = Arc::new(Context::new(parts, verdicts, refusals, Arc::new(handle)));
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
        self.cx.clock.clear();
    }
}

impl ReadyPods for scaling::Handle {
    fn ready_pods(&self, revision: &str, pod_uids: &[String]) -> Option<usize> {
        Self::ready_pods(self, revision, pod_uids)
    }
}
