//! What the process knows at this moment, for people who look for the cause of something: `/debug` of the admin port, as
//! JSON. Every list in it is bounded and says so where it is cut.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::clock;
use crate::function::Function;
use crate::hold::{Places, Used};
use crate::index::Index;
use crate::pods::Pod;
use crate::pool::Census;
use crate::routes::{Route, Table};
use crate::server::Callers;

/// Functions of one answer; `after` asks for the next.
pub const FUNCTIONS: usize = 100;
/// Hosts, namespaces that hold something, and pods of one function, each.
pub const OTHERS: usize = 100;

/// What is looked at. Cheap to clone.
#[derive(Clone, Debug)]
pub struct View {
    index: Arc<Index>,
    table: Arc<Table>,
    places: Arc<Places>,
    callers: Arc<Callers>,
}

/// What is asked for: all of it, a namespace's or a function's.
#[derive(Clone, Copy, Debug, Default)]
struct Filter<'a> {
    namespace: Option<&'a str>,
    function: Option<&'a str>,
    /// Functions behind `NAMESPACE/NAME`.
    after: Option<(&'a str, &'a str)>,
}

impl<'a> Filter<'a> {
    /// Names of Kubernetes' need no escapes, so there are none to undo.
    fn of(query: &'a str) -> Result<Self, String> {
        let mut filter = Self::default();
        for (name, value) in
            query.split('&').filter(|pair| !pair.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")))
        {
            match name {
                "namespace" => filter.namespace = Some(value),
                "function" => filter.function = Some(value),
                "after" => filter.after = Some(value.split_once('/').ok_or("after is NAMESPACE/NAME")?),
                _ => return Err(format!("{name:?} is none of namespace, function, after")),
            }
        }
        Ok(filter)
    }

    fn takes(&self, namespace: &str, function: &str) -> bool {
        self.namespace.is_none_or(|own| own == namespace) && self.function.is_none_or(|own| own == function)
    }
}

impl View {
    /// Of these.
    pub fn new(index: &Arc<Index>, table: &Arc<Table>, places: &Arc<Places>, callers: &Arc<Callers>) -> Self {
        Self {
            index: Arc::clone(index),
            table: Arc::clone(table),
            places: Arc::clone(places),
            callers: Arc::clone(callers),
        }
    }

    /// The answer to `namespace=…&function=…&after=NAMESPACE/NAME`, each of which may be left out.
    ///
    /// # Errors
    /// What is wrong with the query.
    pub fn answer(&self, query: &str) -> Result<String, String> {
        let filter = Filter::of(query)?;
        let mut pods: HashMap<Arc<str>, Vec<Arc<Pod>>> = HashMap::new();
        let mut connections = Census::default();
        for pod in self.index.pods() {
            let own = pod.pool().map(|pool| pool.connections()).unwrap_or_default();
            connections.open += own.open;
            connections.idle += own.idle;
            pods.entry(Arc::clone(&pod.function_uid)).or_default().push(pod);
        }
        let answer = json!({
            "connections": {
                "callers": self.callers.open(),
                "accepted": self.callers.accepted(),
                "pods": census(connections),
            },
            "hold": self.hold(&filter),
            "routes": self.routes(&filter),
            "functions": self.functions(&filter, &pods),
        });
        Ok(answer.to_string())
    }

    fn hold(&self, filter: &Filter<'_>) -> Value {
        let (process, namespace) = self.places.most();
        let mut namespaces = self.places.by_namespace();
        namespaces.retain(|namespace, _| filter.namespace.is_none_or(|own| own == &**namespace));
        let cut = namespaces.len() > OTHERS;
        let each: BTreeMap<_, _> =
            namespaces.iter().take(OTHERS).map(|(namespace, used)| (&**namespace, places(*used))).collect();
        json!({
            "now": places(self.places.used()),
            "most": places(process),
            "mostOfNamespace": places(namespace),
            "namespaces": each,
            "cut": cut,
        })
    }

    fn routes(&self, filter: &Filter<'_>) -> Value {
        let mut hosts = self.table.hosts();
        hosts.retain(|_, routes| {
            routes.retain(|route| filter.takes(&route.function.namespace, &route.function.name));
            !routes.is_empty()
        });
        let each: BTreeMap<_, Vec<_>> = hosts
            .iter()
            .take(OTHERS)
            .map(|(host, routes)| (host, routes.iter().take(OTHERS).map(route).collect()))
            .collect();
        let cut = hosts.len() > OTHERS || hosts.values().any(|routes| routes.len() > OTHERS);
        json!({"hosts": each, "cut": cut})
    }

    fn functions(&self, filter: &Filter<'_>, pods: &HashMap<Arc<str>, Vec<Arc<Pod>>>) -> Value {
        let mut functions = self.index.functions();
        functions.retain(|function| {
            let (namespace, name) = (&*function.key.namespace, &*function.key.name);
            filter.takes(namespace, name) && filter.after.is_none_or(|after| (namespace, name) > after)
        });
        functions.sort_by(|a, b| a.key.cmp(&b.key));
        let none = Vec::new();
        let page = functions.iter().take(FUNCTIONS);
        let shown: Vec<_> = page.map(|one| function(one, pods.get(&one.uid).unwrap_or(&none))).collect();
        // What to ask for next.
        let after = (functions.len() > FUNCTIONS).then(|| functions[FUNCTIONS - 1].key.to_string());
        json!({"items": shown, "cut": after.is_some(), "after": after})
    }
}

fn function(function: &Function, pods: &[Arc<Pod>]) -> Value {
    let (now, spec) = (Instant::now(), function.spec.load());
    let totals = function.totals.read(clock::now());
    let workload = function.workload.load();
    let wake = function.wakes.read();
    json!({
        "namespace": &*function.key.namespace,
        "name": &*function.key.name,
        "uid": &*function.uid,
        "revision": &*spec.revision,
        "mode": spec.scaling.mode,
        "protocol": spec.protocol,
        "maxReplicas": spec.scaling.max_replicas,
        "replicas": workload.as_ref().map(|workload| workload.replicas),
        "waitingFor": (!function.any_ready()).then(|| function.waiting_for()),
        "gate": {
            "held": function.gate.held(),
            "most": spec.queue,
            "oldestWaitMs": function.gate.oldest().map(millis),
        },
        "requests": totals.requests,
        "inFlight": totals.in_flight,
        "held": totals.held,
        "idleMs": millis(totals.idle),
        "lastWake": wake.map(|wake| json!({
            "sentMsAgo": millis(now.saturating_duration_since(wake.sent)),
            "answered": wake.answered.is_some(),
        })),
        "pods": pods.iter().take(OTHERS).map(|one| pod(one, now)).collect::<Vec<_>>(),
        "podsCut": pods.len() > OTHERS,
    })
}

fn pod(pod: &Pod, now: Instant) -> Value {
    let (load, pool, seen) = (pod.slots.read(), pod.pool(), pod.seen());
    let ago = |at: Option<Instant>| at.map(|at| millis(now.saturating_duration_since(at)));
    json!({
        "name": &*pod.name,
        "uid": &*pod.uid,
        "revision": &*pod.revision,
        "address": pool.as_ref().map(|pool| pool.target().address.to_string()),
        "ready": pod.is_ready(),
        "drained": load.drained,
        "leaving": pod.leaving.is_cancelled(),
        "inFlight": load.in_flight,
        "connections": census(pool.map(|pool| pool.connections()).unwrap_or_default()),
        "scheduledMsAgo": ago(seen.scheduled),
        "addressMsAgo": ago(seen.address),
        "readyMsAgo": ago(seen.ready),
    })
}

fn route(route: &Route) -> Value {
    json!({"path": route.path, "methods": route.methods, "function": route.function.to_string()})
}

fn places(used: Used) -> Value {
    json!({"requests": used.requests, "bytes": used.bytes})
}

fn census(census: Census) -> Value {
    json!({"open": census.open, "idle": census.idle})
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_is_not_understood_is_refused() {
        assert!(Filter::of("").is_ok_and(|filter| filter.takes("a", "b")));
        let one = Filter::of("namespace=a&function=b").unwrap();
        assert!(one.takes("a", "b") && !one.takes("a", "c") && !one.takes("c", "b"));
        assert_eq!(Filter::of("after=a/b").unwrap().after, Some(("a", "b")));
        for wrong in ["after=a", "name=b", "namespace=a&x"] {
            assert!(Filter::of(wrong).is_err(), "{wrong}");
        }
    }
}
