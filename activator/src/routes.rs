//! Where hosts and paths lead: an immutable snapshot that the request path reads without a lock.

mod host;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arc_swap::ArcSwap;
use crds::route::{self, Claim, Domains, Host, TriggerKey, Verdict};
use crds::trigger::{Method, PathMatch};

use crate::function::{Function, Key};
use crate::path::fault::Fault;
use crate::path::target;
use host::Routes;

/// Functions by namespace and name.
type ByName = HashMap<Arc<str>, HashMap<Arc<str>, Arc<Function>>>;

/// The routing table of this process.
#[derive(Debug)]
pub struct Table {
    domains: Domains,
    snapshot: ArcSwap<Snapshot>,
}

#[derive(Debug, Default)]
struct Snapshot {
    functions: ByName,
    hosts: HashMap<String, Routes>,
}

/// One Trigger's route on one host.
#[derive(Clone, Debug)]
pub struct Route {
    /// Paths that it covers.
    pub path: PathMatch,
    /// Methods that it takes; none = all.
    pub methods: Vec<Method>,
    /// Where it leads.
    pub function: Key,
}

impl Table {
    /// Empty, for these domains.
    pub fn new(domains: Domains) -> Self {
        Self { domains, snapshot: ArcSwap::default() }
    }

    /// Replaces what the table knows. Claims that [`route::judge`] lets fall lead nowhere.
    pub fn publish<'a>(
        &self,
        functions: impl Iterator<Item = &'a Arc<Function>>,
        claims: &BTreeMap<TriggerKey, Claim>,
    ) {
        let mut next = Snapshot::default();
        for function in functions {
            let names = next.functions.entry(Arc::clone(&function.key.namespace)).or_default();
            names.insert(Arc::clone(&function.key.name), Arc::clone(function));
        }
        let verdicts = route::judge(claims.values(), &self.domains);
        for (key, claim) in claims.iter().filter(|(key, _)| verdicts.get(*key) == Some(&Verdict::Routed)) {
            for host in claim.hosts.iter().filter_map(|host| route::normalise(host)) {
                next.hosts.entry(host.into_owned()).or_default().add(Route {
                    path: claim.path.clone(),
                    methods: claim.methods.clone(),
                    function: Key::new(&key.0, &claim.function),
                });
            }
        }
        self.snapshot.store(Arc::new(next));
    }

    /// The hosts of Triggers, each with its routes in the order in which they are tried.
    pub fn hosts(&self) -> BTreeMap<String, Vec<Route>> {
        self.snapshot.load().hosts.iter().map(|(host, routes)| (host.clone(), routes.all())).collect()
    }

    /// The function that a request is for.
    ///
    /// # Errors
    /// 404, 405 or 421, and 400 for what is no host.
    pub fn find(&self, authority: &str, path: &str, method: &http::Method) -> Result<Arc<Function>, Fault> {
        let host = route::normalise(authority).ok_or(Fault::Malformed("Host is not a host name"))?;
        let snapshot = self.snapshot.load();
        match self.domains.classify(&host) {
            Host::Function { name, namespace } => snapshot.function(namespace, name),
            Host::Bare(name) => match snapshot.hosts.get(name) {
                Some(routes) => snapshot.by_trigger(routes, path, method),
                None => Err(Fault::Bare(name.to_owned())),
            },
            Host::Other(host) => match snapshot.hosts.get(host) {
                Some(routes) => snapshot.by_trigger(routes, path, method),
                None => Err(Fault::Misdirected(host.to_owned())),
            },
        }
    }
}

impl Snapshot {
    fn function(&self, namespace: &str, name: &str) -> Result<Arc<Function>, Fault> {
        let found = self.functions.get(namespace).and_then(|names| names.get(name));
        found.cloned().ok_or_else(|| Fault::NoFunction { name: name.to_owned(), namespace: namespace.to_owned() })
    }

    fn by_trigger(&self, routes: &Routes, path: &str, method: &http::Method) -> Result<Arc<Function>, Fault> {
        // A path that the function reads otherwise than we do would get round the Trigger it was meant for.
        if routes.tells_apart() && target::is_ambiguous(path) {
            return Err(Fault::Malformed("the path has empty or dot segments, or encodes what needs no encoding"));
        }
        let mut allowed: Vec<&str> = Vec::new();
        for route in routes.covering(path) {
            if route.methods.is_empty() || route.methods.iter().any(|one| one.as_str() == method.as_str()) {
                return self.function(&route.function.namespace, &route.function.name);
            }
            allowed.extend(route.methods.iter().map(|one| one.as_str()));
        }
        if allowed.is_empty() {
            return Err(Fault::NoRoute);
        }
        allowed.sort_unstable();
        allowed.dedup();
        Err(Fault::Method(allowed.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use crds::trigger::PathKind;

    use super::*;
    use crate::function::Spec;

    fn claim(name: &str, path: &str, methods: &[Method], function: &str) -> (TriggerKey, Claim) {
        let key = ("shop".to_owned(), name.to_owned());
        let claim = Claim {
            key: key.clone(),
            created: 1,
            function: function.into(),
            hosts: vec!["API.example.com".into()],
            path: PathMatch { kind: PathKind::Prefix, value: path.into() },
            methods: methods.to_vec(),
        };
        (key, claim)
    }

    #[test]
    fn hosts_and_paths_lead_to_functions() {
        let table = Table::new(Domains { external: "localhost".into(), cluster: "cluster.local".into() });
        let functions =
            ["hello", "upload", "rest"].map(|name| Function::new(Key::new("shop", name), name.into(), Spec::test()));
        let claims = BTreeMap::from([
            claim("a", "/uploads", &[Method::Post], "upload"),
            claim("b", "/uploads/big", &[], "hello"),
            claim("c", "/rest", &[], "rest"),
            claim("d", "/rest", &[Method::Put], "upload"),
            claim("e", "/gone", &[], "nobody"),
        ]);
        table.publish(functions.iter(), &claims);
        let find = |method: &str, host: &str, path: &str| {
            let found = table.find(host, path, &method.parse().unwrap());
            found.map(|function| function.key.name.to_string()).map_err(|fault| fault.status().as_u16())
        };
        let cases = [
            ("GET", "hello.shop:8080", "/", Ok("hello")),
            ("GET", "HELLO.shop.svc.cluster.local.", "/", Ok("hello")),
            ("GET", "hello.shop.localhost", "/", Ok("hello")),
            ("GET", "nobody.shop", "/", Err(404)),
            ("GET", "hello", "/", Err(404)),
            ("POST", "api.example.com", "/uploads", Ok("upload")),
            ("POST", "api.example.com", "/uploads/x", Ok("upload")),
            ("GET", "api.example.com", "/uploads", Err(405)),
            ("GET", "api.example.com", "/uploads/big", Ok("hello")),
            ("POST", "api.example.com", "/uploads/big", Ok("hello")),
            ("PUT", "api.example.com", "/rest", Ok("upload")),
            ("GET", "api.example.com", "/rest", Ok("rest")),
            ("GET", "api.example.com", "/other", Err(404)),
            ("GET", "api.example.com", "/gone", Err(404)),
            ("GET", "other.example.com", "/", Err(421)),
            ("GET", "10.0.0.1:8080", "/", Err(421)),
            ("GET", "a b", "/", Err(400)),
            ("GET", "hello.shop:80:80", "/", Err(400)),
            ("POST", "api.example.com", "/uploads/../rest", Err(400)),
            ("POST", "api.example.com", "/rest/%2e%2e/uploads", Err(400)),
            ("POST", "api.example.com", "//uploads", Err(400)),
            ("POST", "api.example.com", "/upload%73", Err(400)),
            ("GET", "hello.shop", "/a//b/../c", Ok("hello")),
        ];
        for (method, host, path, expected) in cases {
            assert_eq!(
                find(method, host, path).as_deref(),
                expected.as_ref().map(|name| *name),
                "{method} {host}{path}"
            );
        }
        let refused = table.find("api.example.com", "/uploads", &http::Method::GET).unwrap_err();
        assert_eq!(refused, Fault::Method("POST".into()));
    }
}
